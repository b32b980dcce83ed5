import Configuration
import Crypto
import FoundationEssentials
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `auth.issuer` | string | `http://<http.host>:<port>` | the `iss` of every token; https, unless its host is a loopback address |
/// | `auth.insecure` | bool | false | whether `auth.issuer` may be http elsewhere |
/// | `auth.secrets.key.file` | path | required | 64 hexadecimal digits: the key that signing keys are sealed with |
/// | `auth.signing.rotationDays` | int | 90 | the age at which a signing key is followed by a new one; 0: never |
/// | `auth.issuers.file` | path | none | a JSON list of other issuers whose access tokens are accepted |
/// | `auth.owner.key.file` | path | none | the local owner's API key, `xp_` and 64 hexadecimal digits; made known at start |
/// | `auth.owner.email` | string | none | the first user, an owner; made at a start that finds no owner |
/// | `auth.owner.password.file` | path | none | that user's password |
/// | `auth.password.cost` | int | 15 | the logarithm of scrypt's N, 10 to 18: each step doubles a hash's time and memory |
/// | `auth.audit.retentionDays` | int | 365 | how long the audit log is kept, 1 to 3650 |
struct AuthConfig {
    let issuer: String
    let secretsKey: SymmetricKey
    let ownerKey: OwnerKey?
    let trustedIssuers: [TrustedIssuerEntry]
    /// `nil`: signing keys are changed by command only.
    let signingKeyAge: Duration?
    let ownerAccount: OwnerAccount?
    let passwordCost: PasswordHash.Cost
    let auditRetention: Duration

    init(_ config: ConfigReader) throws {
        let http = try HTTPConfig(config, service: "auth", offset: 20)
        let host = http.host.contains(":") ? "[\(http.host)]" : http.host
        self.issuer = try config.publicURL(
            forKey: "auth.issuer", default: "http://\(host):\(http.port)",
            isInsecureAllowed: config.bool(forKey: "auth.insecure", default: false), insecureKey: "auth.insecure")
        self.trustedIssuers = try Self.trustedIssuers(config, own: self.issuer)
        let days = config.int(forKey: "auth.signing.rotationDays", default: 90)
        guard (0...3650).contains(days) else {
            throw ConfigurationError(key: "auth.signing.rotationDays", problem: "must be from 0 to 3650")
        }
        self.signingKeyAge = days == 0 ? nil : .seconds(days * 86_400)
        self.secretsKey = SymmetricKey(data: try config.sealingKey(forKey: "auth.secrets.key.file"))
        self.ownerAccount = try OwnerAccount(config)
        var cost = PasswordHash.Cost.standard
        cost.ln = config.int(forKey: "auth.password.cost", default: cost.ln)
        guard (10...18).contains(cost.ln) else {
            throw ConfigurationError(key: "auth.password.cost", problem: "must be from 10 to 18")
        }
        self.passwordCost = cost
        let auditDays = config.int(forKey: "auth.audit.retentionDays", default: 365)
        guard (1...3650).contains(auditDays) else {
            throw ConfigurationError(key: "auth.audit.retentionDays", problem: "must be from 1 to 3650")
        }
        self.auditRetention = .seconds(auditDays * 86_400)
        guard let path = config.string(forKey: "auth.owner.key.file") else {
            self.ownerKey = nil
            return
        }
        let ownerKey = try Self.read(path, key: "auth.owner.key.file")
        guard ownerKey.hasPrefix("xp_"), Hex.decode(String(ownerKey.dropFirst(3)))?.count == 32 else {
            throw ConfigurationError(key: "auth.owner.key.file", problem: "must hold xp_ and 64 hexadecimal digits")
        }
        self.ownerKey = OwnerKey(ownerKey)
    }

    private static func trustedIssuers(_ config: ConfigReader, own: String) throws -> [TrustedIssuerEntry] {
        guard let path = config.string(forKey: "auth.issuers.file") else { return [] }
        return try TrustedIssuerFile.read(Self.bytes(of: path, key: "auth.issuers.file"), own: own)
    }

    private static func read(_ path: String, key: String) throws -> String {
        String(String(decoding: try Self.bytes(of: path, key: key), as: UTF8.self).filter { !$0.isWhitespace })
    }

    private static func bytes(of path: String, key: String) throws -> [UInt8] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            // `try?`: whatever the reason, the operator needs the key and the path.
            throw ConfigurationError(key: key, problem: "names a file that cannot be read: \(path)")
        }
        return Array(data)
    }
}

/// What is to be known of the local owner's key: not the key, since what a part of a process holds may end in a debug log.
struct OwnerKey {
    let hash: String
    let shownPrefix: String

    init(_ key: String) {
        self.hash = Secret.hash(key)
        self.shownPrefix = Secret.shownPrefix(of: key)
    }
}
