import Events

/// One Grimnir connection: types that never change, a ping every beat, an end with the token.
struct GrimnirSession: DialectSession {
    private static let ping = Array("{\"type\":\"ping\"}".utf8)

    /// As many unknown names of one client are told to operators.
    private static let unknownMax = 100

    let isLoggedIn = true
    private let types: [String]
    private let unknown: [String]
    private let principal: Principal

    init(types: [String], unknown: [String] = [], principal: Principal) {
        self.types = types
        self.unknown = unknown
        self.principal = principal
    }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        var actions: [SessionAction] = []
        // The contract has unknown names ignored, which to the client looks like success.
        actions += self.unknown.prefix(Self.unknownMax).map { .futile(filter: $0, reason: .unknownName) }
        if !self.types.isEmpty { actions.append(.subscribe(self.types, as: self.principal)) }
        if let expires = self.principal.expires { actions.append(.wake(at: expires)) }
        return actions
    }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] { [] }

    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] { [] }

    mutating func woke(at now: Timestamp) -> [SessionAction] { [.close(.tokenExpired)] }

    mutating func beat(at now: Timestamp) -> [SessionAction] { [.send(Self.ping)] }
}
