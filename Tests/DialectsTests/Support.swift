import Dialects
import Events
import Foundation
import Testing

/// A message of a contract or of a document that it comes from.
func fixture(_ dialect: DialectName, _ name: String) throws -> [UInt8] {
    let url = try #require(
        Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures/\(dialect.rawValue)"))
    return [UInt8](try Data(contentsOf: url))
}

func fixtureJSON(_ dialect: DialectName, _ name: String) throws -> JSON {
    try #require(JSON(parsing: try fixture(dialect, name)))
}

extension Timestamp {
    /// 2024-01-15T16:30:00.123Z
    static let noon = Timestamp(milliseconds: 1_705_336_200_123)
}

extension Principal {
    static func user(
        tenant: String = "acme", scopes: Scopes = [.all], stations: Set<String>? = nil, kind: CredentialKind = .jwt,
        expires: Timestamp? = nil, tier: Tier = .free, id: String = "key-1"
    ) -> Principal {
        Principal(
            subject: "user-1", name: "Ann", tenant: tenant, scopes: scopes, stations: stations, credential: kind,
            credentialID: id, expires: expires, tier: tier)
    }
}

extension Event {
    static func sample(
        _ type: EventType, tenant: String = "acme", room: String = "", data: JSON = ["a": 1], time: Timestamp = .noon
    ) -> Event {
        Event(
            id: ULID(high: 1, low: 2), type: type, tenant: tenant, room: room, publisher: .auth, time: time,
            data: data.bytes)
    }
}

extension SessionAction {
    /// The JSON of a frame that is sent.
    var frame: JSON? {
        switch self {
        case .send(let bytes), .sendLater(let bytes, _): JSON(parsing: bytes)
        default: nil
        }
    }

    var closing: Closing? {
        guard case .close(let closing) = self else { return nil }
        return closing
    }
}

extension [SessionAction] {
    var frames: [JSON] { self.compactMap(\.frame) }
    var closing: Closing? { self.compactMap(\.closing).first }
}

/// A session in a class, so that an expectation may hold the call that changes it.
final class Conversation {
    private var session: any DialectSession

    init(_ dialect: some Dialect, query: [(name: String, value: String)] = [], principal: Principal? = nil) {
        self.session = dialect.makeSession(UpgradeRequest(path: "/", query: query), principal: principal)
    }

    var isLoggedIn: Bool { self.session.isLoggedIn }

    func opened(at now: Timestamp = .noon) -> [SessionAction] { self.session.opened(at: now) }
    func receive(_ text: String, at now: Timestamp = .noon) -> [SessionAction] {
        self.receive(Array(text.utf8), at: now)
    }
    func receive(_ message: JSON, at now: Timestamp = .noon) -> [SessionAction] { self.receive(message.bytes, at: now) }
    func receive(_ bytes: [UInt8], at now: Timestamp = .noon) -> [SessionAction] {
        self.session.received(bytes, at: now)
    }
    func receiveBinary(_ bytes: [UInt8] = [1]) -> [SessionAction] { self.session.receivedBinary(bytes, at: .noon) }
    func exceedRate(at now: Timestamp = .noon) -> [SessionAction] { self.session.exceededRate(at: now) }
    func wake(at now: Timestamp) -> [SessionAction] { self.session.woke(at: now) }
    func beat() -> [SessionAction] { self.session.beat(at: .noon) }
    func drain() -> [SessionAction] { self.session.drain(at: .noon) }
    func drainEnded() -> [SessionAction] { self.session.drainEnded(at: .noon) }
    func handedOver(_ token: String?) -> [SessionAction] { self.session.handedOver(token, at: .noon) }
    func resumed(_ handOver: HandOver?) -> [SessionAction] { self.session.resumed(handOver, at: .noon) }

    func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp = .noon) -> [SessionAction] {
        self.session.verified(result, at: now)
    }

    func answered(_ answer: some Encodable) -> [SessionAction] {
        self.session.called(.success(JSON.encode(answer)), at: .noon)
    }
    func failed(_ code: CommandFailure.Code) -> [SessionAction] {
        self.session.called(.failure(CommandFailure(code, "told so")), at: .noon)
    }
}

extension JSON {
    func without(_ keys: String...) -> JSON {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { !keys.contains($0.key) })
    }
}

/// Whether each projection's frame would be delivered to a client that holds those keys.
func delivered(_ projections: [Projection], holding keys: Set<String>) -> [JSON] {
    projections.filter { !keys.isDisjoint(with: $0.keys) }.compactMap { JSON(parsing: $0.render()) }
}
