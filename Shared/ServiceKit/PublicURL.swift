public import Configuration
import FoundationEssentials

extension ConfigReader {
    /// The address under which others reach a service, as `key` names it: an http or https URL without user, query and fragment
    /// (RFC 8414 §2). Passwords and tokens travel to it, so http is allowed on a loopback address only.
    /// - Parameter insecureKey: the key that allows http anywhere, for the error's text.
    public func publicURL(
        forKey key: ConfigKey, default standard: String, isInsecureAllowed: Bool, insecureKey: String
    ) throws -> String {
        let text = self.string(forKey: key, default: standard)
        func invalid(_ problem: String) -> ConfigurationError {
            ConfigurationError(key: "\(key)", problem: "\(problem): \(text)")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), let parts = URLComponents(string: text),
            let scheme = parts.scheme, ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty
        else { throw invalid("must be an http or https URL") }
        guard parts.user == nil, parts.password == nil, !text.contains("?"), !text.contains("#") else {
            throw invalid("must have no user, no query and no fragment")
        }
        guard scheme == "https" || isInsecureAllowed || TrustedProxies.isLoopback(name: host) else {
            throw invalid(
                "must be an https URL, since its host is not this machine (\(insecureKey)=true allows http, without encryption)"
            )
        }
        return text
    }
}
