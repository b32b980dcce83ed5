import Events
import FoundationEssentials
import ServiceKit

/// One entry of the file that `auth.issuers.file` names: an issuer that is trusted, and where its public keys are.
struct TrustedIssuerEntry: Sendable, Hashable {
    var issuer: TrustedIssuer
    let keysURL: URL
}

/// The file: a JSON list of issuers. Strict, since a slip here decides who gets in.
enum TrustedIssuerFile {
    static let key = "auth.issuers.file"

    private static let members: Set = [
        "issuer", "name", "jwks_url", "audience", "algorithms", "types", "tenant_claim", "tenants", "rules",
    ]
    private static let ruleMembers: Set = ["claim", "value", "scope"]
    /// Those with a public and a private key: an HMAC's key in a public set would let anybody sign.
    private static let algorithms: Set = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ]
    private static let entriesMax = 50

    /// Throws `ConfigurationError`, which names the entry.
    /// - Parameter own: our own issuer's name, which nobody else may have.
    static func read(_ bytes: [UInt8], own: String) throws -> [TrustedIssuerEntry] {
        guard let list = JSON(parsing: bytes, duplicates: .refused)?.array, list.count <= Self.entriesMax else {
            throw ConfigurationError(
                key: Self.key,
                problem: "must hold a JSON list of at most \(Self.entriesMax) issuers, none with a member twice")
        }
        var entries: [TrustedIssuerEntry] = []
        for (index, json) in list.enumerated() {
            let entry = Entry(number: index + 1, json: json)
            let read = try entry.read()
            if read.issuer.issuer == own { throw entry.error("issuer is auth itself") }
            for other in entries {
                if other.issuer.name == read.issuer.name { throw entry.error("name is another entry's too") }
                if other.issuer.issuer == read.issuer.issuer { throw entry.error("issuer is another entry's too") }
            }
            entries.append(read)
        }
        return entries
    }

    /// https, or http on this machine; without user, query and fragment.
    static func url(_ text: String) -> URL? {
        guard text.utf8.count <= 1000, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            let url = URL(string: text),
            let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty, parts.user == nil,
            parts.password == nil, parts.fragment == nil
        else { return nil }
        switch parts.scheme {
        case "https": return url
        case "http":
            let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
            return name == "localhost" || TrustedProxies.isLoopback(name) ? url : nil
        default: return nil
        }
    }

    private struct Entry {
        let number: Int
        let json: JSON

        func error(_ problem: String) -> ConfigurationError {
            let name = self.json["name"]?.string.map { " (\($0.prefix(50)))" } ?? ""
            return ConfigurationError(key: TrustedIssuerFile.key, problem: "entry \(self.number)\(name): \(problem)")
        }

        func read() throws(ConfigurationError) -> TrustedIssuerEntry {
            guard let members = self.json.object else { throw self.error("must be an object") }
            if let unknown = members.keys.filter({ !TrustedIssuerFile.members.contains($0) }).min() {
                throw self.error("has a member that is not known: \(unknown.prefix(50))")
            }
            let issuer = try self.text("issuer")
            guard TrustedIssuerFile.url(issuer) != nil, !issuer.contains("?") else {
                throw self.error("issuer must be an https URL, or http on a loopback address")
            }
            let name = try self.text("name")
            guard name.utf8.count <= 32, Grant.isName(name) else {
                throw self.error("name must be 1 to 32 letters, digits, '-' or '_'")
            }
            guard let keysURL = TrustedIssuerFile.url(try self.text("jwks_url")) else {
                throw self.error("jwks_url must be an https URL, or http on a loopback address")
            }
            let claim = members["tenant_claim"] == nil ? nil : try self.text("tenant_claim")
            return TrustedIssuerEntry(
                issuer: TrustedIssuer(
                    issuer: issuer, name: name, audience: try self.text("audience"), algorithms: try self.algorithms(),
                    types: members["types"] == nil ? nil : try self.types(), tenantClaim: claim,
                    tenants: try self.tenants(hasClaim: claim != nil), rules: try self.rules()),
                keysURL: keysURL)
        }

        private func text(_ name: String, of json: JSON? = nil) throws(ConfigurationError) -> String {
            guard let text = (json ?? self.json)[name]?.string, (1...1000).contains(text.utf8.count),
                text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
            else { throw self.error("\(name) must be a text of 1 to 1000 bytes") }
            return text
        }

        private func texts(_ name: String) throws(ConfigurationError) -> [String] {
            guard let texts = self.json[name]?.strings, (1...100).contains(texts.count), Set(texts).count == texts.count
            else { throw self.error("\(name) must be a list of 1 to 100 different texts") }
            return texts
        }

        private func algorithms() throws(ConfigurationError) -> [String] {
            let algorithms = try self.texts("algorithms")
            guard TrustedIssuerFile.algorithms.isSuperset(of: algorithms) else {
                throw self.error(
                    "algorithms must be among \(TrustedIssuerFile.algorithms.sorted().joined(separator: ", "))")
            }
            return algorithms
        }

        /// Types of tokens in the form in which they are compared: lower case, without `application/`.
        private func types() throws(ConfigurationError) -> [String] {
            let types = try self.texts("types").map { type in
                let type = type.lowercased()
                return type.hasPrefix("application/") ? String(type.dropFirst(12)) : type
            }
            guard types.allSatisfy({ $0.utf8.count <= 64 && $0.utf8.allSatisfy { (0x21...0x7E).contains($0) } }) else {
                throw self.error("types must be media types such as at+jwt, or empty for tokens without a type")
            }
            return types
        }

        private func tenants(hasClaim: Bool) throws(ConfigurationError) -> [String] {
            let tenants = try self.texts("tenants")
            guard tenants.allSatisfy(Grant.isName) else {
                throw self.error("tenants must be of 1 to 64 letters, digits, '-' or '_'")
            }
            guard hasClaim || tenants.count == 1 else {
                throw self.error("without a tenant_claim there must be one of tenants")
            }
            return tenants
        }

        private func rules() throws(ConfigurationError) -> [TrustedIssuer.Rule] {
            guard let rules = self.json["rules"]?.array, (1...100).contains(rules.count) else {
                throw self.error("rules must be a list of 1 to 100: without one its tokens are good for nothing")
            }
            var read: [TrustedIssuer.Rule] = []
            for rule in rules {
                guard let members = rule.object, Set(members.keys) == TrustedIssuerFile.ruleMembers else {
                    throw self.error("a rule must have claim, value and scope, and nothing else")
                }
                let scope = try self.text("scope", of: rule)
                guard Grant.isScope(Scope(scope)) else {
                    throw self.error("a rule's scope must be one such as radio:read")
                }
                guard Scope(scope) != .authAdmin else { throw self.error("no other issuer gives auth:admin") }
                read.append(
                    TrustedIssuer.Rule(
                        claim: try self.text("claim", of: rule), value: try self.text("value", of: rule), scope: scope))
            }
            return read
        }
    }
}
