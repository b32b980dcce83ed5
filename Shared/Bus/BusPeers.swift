import Events

/// The public halves of the suite's key pairs, one for each role.
public struct BusPeers: Sendable, Hashable {
    private let keys: [BusRole: [UInt8]]

    /// - Parameter keys: 32 bytes for each role.
    public init(suite: [UInt8], auth: [UInt8], gateway: [UInt8]) {
        self.keys = [.suite: suite, .auth: auth, .gateway: gateway]
    }

    /// Reads lines of a role's name and 64 hexadecimal digits: one line a role, in any order. `nil` if it is anything else, or if two
    /// roles have the same key.
    public init?(text: String) {
        var keys: [BusRole: [UInt8]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ")
            guard words.count == 2, let role = BusRole(rawValue: String(words[0])), keys[role] == nil,
                let key = Self.decode(words[1])
            else { return nil }
            keys[role] = key
        }
        guard keys.count == BusRole.allCases.count, Set(keys.values).count == keys.count else { return nil }
        self.keys = keys
    }

    /// As `init(text:)` reads it.
    public var text: String {
        BusRole.allCases.map { role in
            let digits = self.key(of: role).map { byte in
                let digits = String(byte, radix: 16)
                return byte < 16 ? "0\(digits)" : digits
            }
            return "\(role.rawValue) \(digits.joined())\n"
        }.joined()
    }

    func key(of role: BusRole) -> [UInt8] { self.keys[role] ?? [] }

    /// The role whose public half that is; `nil` if it is nobody's.
    func role(of key: [UInt8]) -> BusRole? { self.keys.first { $0.value == key }?.key }

    private static func decode(_ digits: Substring) -> [UInt8]? {
        let nibbles = digits.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard nibbles.count == 64, digits.utf8.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { UInt8(nibbles[$0] << 4 | nibbles[$0 + 1]) }
    }
}
