import CryptoExtras
import FoundationEssentials

/// A password as it is stored: scrypt's parameters, the salt and the hash, as `$scrypt$ln=15,r=8,p=3$salt$hash` (base 64 without
/// padding). The parameters stand with each hash, so that they can be raised.
struct PasswordHash: Equatable {
    /// N = 2^`ln` · r · 128 bytes of memory are filled `p` times.
    struct Cost: Equatable {
        var ln: Int
        var r: Int
        var p: Int

        /// As hard to guess as the N = 2^17, p = 1 that OWASP asks for first (its table has both), but with 32 MB instead of 128,
        /// so that two sign-ins at once fit a small machine.
        static let standard = Cost(ln: 15, r: 8, p: 3)

        /// Whether a hash of that cost is cheaper to guess than one of ours.
        func isBelow(_ other: Cost) -> Bool {
            (1 << self.ln) * self.r * self.p < (1 << other.ln) * other.r * other.p || self.r < other.r
        }

        /// What is read from the database is bounded too: no hash may take all memory.
        fileprivate var isSane: Bool {
            (10...20).contains(self.ln) && (1...32).contains(self.r) && (1...16).contains(self.p)
        }
    }

    let cost: Cost
    let salt: [UInt8]
    let hash: [UInt8]

    private static let saltBytes = 16
    private static let hashBytes = 32

    /// Hashes a password with a new salt. Takes a fifth of a second and the cost's memory; throws when there is not so much.
    init(of password: String, cost: Cost = .standard) throws {
        self.cost = cost
        self.salt = Self.random(Self.saltBytes)
        self.hash = try Self.derive(password, salt: self.salt, cost)
    }

    /// Nobody's: what an account that is not there is compared with.
    init(ofNobody cost: Cost) {
        self.cost = cost
        self.salt = Self.random(Self.saltBytes)
        self.hash = Self.random(Self.hashBytes)
    }

    /// `nil`: not such a text.
    init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt", let cost = Self.cost(parts[2]), cost.isSane,
            let salt = Self.bytes(parts[3]), let hash = Self.bytes(parts[4]), !salt.isEmpty,
            hash.count == Self.hashBytes
        else { return nil }
        self.cost = cost
        self.salt = salt
        self.hash = hash
    }

    var text: String {
        "$scrypt$ln=\(self.cost.ln),r=\(self.cost.r),p=\(self.cost.p)$\(Self.text(self.salt))$\(Self.text(self.hash))"
    }

    /// Whether it is that password's. Takes as long as to make one, whatever the answer.
    func matches(_ password: String) throws -> Bool {
        let given = try Self.derive(password, salt: self.salt, self.cost)
        return zip(given, self.hash).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func derive(_ password: String, salt: [UInt8], _ cost: Cost) throws -> [UInt8] {
        // An empty array has no address, and the library insists on one; no password is empty (`Password`).
        let key = try KDF.Scrypt.deriveKey(
            from: password.isEmpty ? [0] : Array(password.utf8), salt: salt, outputByteCount: Self.hashBytes,
            rounds: 1 << cost.ln, blockSize: cost.r, parallelism: cost.p)
        return key.withUnsafeBytes { Array($0) }
    }

    private static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private static func cost(_ text: Substring) -> Cost? {
        let parts = text.split(separator: ",").map { $0.split(separator: "=") }
        guard parts.count == 3, parts.allSatisfy({ $0.count == 2 }), parts.map({ $0[0] }) == ["ln", "r", "p"],
            let ln = Int(parts[0][1]), let r = Int(parts[1][1]), let p = Int(parts[2][1])
        else { return nil }
        return Cost(ln: ln, r: r, p: p)
    }

    private static func text(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().filter { $0 != "=" }
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: text + padding).map(Array.init)
    }
}
