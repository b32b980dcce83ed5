public import Configuration
public import Logging
import Peers

/// Whether clients on this machine need no credential.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `http.anonymous` | bool | by the other settings | whether a client on this machine needs no credential |
///
/// Without `http.anonymous` they need none only where nothing else is set up for others than this machine: with a TLS setting,
/// `gateway.origins`, a trusted proxy, an address that others reach or a URL that others know, somebody may stand between a client and
/// us, and a tunnel or proxy that only copies bytes makes all the world look local.
public struct AnonymousAccess: Sendable {
    public let isAllowed: Bool
    /// The settings by which others than this machine are served.
    public let exposures: [String]

    public init(_ config: ConfigReader) throws {
        self.exposures = Self.exposures(config)
        // As a text first: what is no bool must not count as unset.
        let isSet = config.string(forKey: "http.anonymous").map { !$0.isEmpty } ?? false
        let value = config.bool(forKey: "http.anonymous")
        guard !isSet || value != nil else {
            throw ConfigurationError(key: "http.anonymous", problem: "must be true or false")
        }
        self.isAllowed = value ?? self.exposures.isEmpty
    }

    /// Warns if local clients are let in without a credential although others than this machine are served.
    public func warn(_ logger: Logger) {
        guard self.isAllowed, !self.exposures.isEmpty else { return }
        logger.warning(
            "http.anonymous lets in local clients without a credential; a tunnel or proxy on this machine makes others look local",
            metadata: ["served by": "\(self.exposures.joined(separator: ", "))"])
    }

    private static func exposures(_ config: ConfigReader) -> [String] {
        let host = config.string(forKey: "http.host", default: "127.0.0.1")
        let isSet: [(String, Bool)] = [
            ("EDGE_TLS", Self.isSet(config.string(forKey: "edge.tls"))),
            ("gateway.tls.certificate", Self.isSet(config.string(forKey: "gateway.tls.certificate"))),
            ("gateway.tls.key", Self.isSet(config.string(forKey: "gateway.tls.key"))),
            ("gateway.origins", Self.isSet(config.string(forKey: "gateway.origins"))),
            ("http.host", !Self.isLocal(host)),
            ("gateway.edge.host", !Self.isLocal(config.string(forKey: "gateway.edge.host", default: host))),
            (
                "http.trustedProxies",
                config.stringArray(forKey: "http.trustedProxies", default: []).contains { !$0.isEmpty }
            ),
        ]
        let urls = ["auth.issuer", "obs-bridge.public.url", "performance-monitor.server.url"].filter { key in
            config.string(forKey: ConfigKey(key)).map { !$0.isEmpty && !Self.isLocal(url: $0) } ?? false
        }
        return isSet.filter(\.1).map(\.0) + urls
    }

    private static func isSet(_ value: String?) -> Bool { value?.allSatisfy(\.isWhitespace) == false }

    private static func isLocal(_ host: String) -> Bool { host == "localhost" || Loopback.contains(address: host) }

    private static func isLocal(url: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: url.lowercased().hasPrefix) else { return false }
        return Loopback.contains(authority: url.dropFirst(scheme.count).prefix { !"/?#".contains($0) })
    }
}
