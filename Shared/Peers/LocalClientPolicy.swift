/// Decides whether a client is a program on this machine, or a page that such a program shows, and nobody else's.
///
/// A tunnel that copies bytes (`ssh -R`, stunnel) leaves no trace that could be judged here; nor does a proxy that adds no field,
/// asks for this machine's own address and speaks HTTP/1.1.
public enum LocalClientPolicy {
    /// Why a client is not local.
    public enum Reason: Sendable, Equatable, CustomStringConvertible {
        /// It is on another machine.
        case peer
        /// A proxy carries its request: the request has that field.
        case forwarded(String)
        /// It speaks HTTP/1.0, as proxies do that add no field (nginx unless told otherwise), and hardly a client does.
        case version
        /// It asks for another host than this machine, or for none: its name may lead anywhere (DNS rebinding).
        case host
        /// It is a page of another site, or one that does not say which.
        case origin
        /// It is a page of another site that reads.
        case site

        public var description: String {
            switch self {
            case .peer: "it is on another machine"
            case .forwarded(let field): "a proxy carries it (\(field))"
            case .version: "it speaks HTTP/1.0"
            case .host: "Host is neither localhost nor a loopback address"
            case .origin: "Origin is neither of a loopback address nor file://"
            case .site: "Sec-Fetch-Site is cross-site"
            }
        }
    }

    /// Returns why the sender of a request is not local, `nil` if it is.
    /// - Parameters:
    ///   - isHTTP11: whether the request is of HTTP/1.1 at least.
    ///   - hosts: the values of all `Host` fields.
    ///   - fields: the request's other fields. Names in lower case; fields of the same name may be one, with commas between values.
    public static func reasonNotLocal(
        _ peer: Peer, isHTTP11: Bool = true, hosts: [String], fields: some Sequence<(name: String, value: String)>
    ) -> Reason? {
        guard peer.isLoopback else { return .peer }
        guard isHTTP11 else { return .version }
        var origin: String?
        var isOwnSite = true
        for (name, value) in fields {
            switch name {
            case "origin": origin = origin.map { "\($0), \(value)" } ?? value
            case "sec-fetch-site": isOwnSite = isOwnSite && Self.ownSites.contains(value)
            case "host": return .host
            default: if Self.isForwarding(name) { return .forwarded(name) }
            }
        }
        guard hosts.count == 1, Loopback.contains(authority: hosts[0]) else { return .host }
        guard let origin else { return isOwnSite ? nil : .site }
        return Self.isLocal(origin: origin) ? nil : .origin
    }

    /// Returns whether a field is one that proxies add. Some pass on what they were sent, others say who sent it.
    static func isForwarding(_ name: String) -> Bool {
        Self.forwardingNames.contains(name) || Self.forwardingPrefixes.contains(where: name.hasPrefix)
    }

    private static let ownSites: Set = ["none", "same-origin", "same-site"]

    private static let forwardingNames: Set = [
        "forwarded", "via", "x-forwarded", "x-real-ip", "x-real-port", "x-client-ip", "x-client-port",
        "x-cluster-client-ip", "true-client-ip", "x-true-client-ip", "x-remote-ip", "x-remote-addr", "x-host",
        "x-scheme",
        "x-url-scheme", "front-end-https", "proxy-connection", "x-proxyuser-ip", "x-tor2web", "cdn-loop", "client-ip",
    ]

    private static let forwardingPrefixes = [
        "x-forwarded-", "x-original-", "x-proxy-", "x-envoy-", "x-amzn-", "x-amz-cf-", "x-azure-", "x-arr-",
        "x-appengine-",
        "x-vercel-", "x-nf-", "x-sucuri-", "cf-", "fastly-", "fly-", "incap-", "akamai-", "tailscale-", "ngrok-",
    ]

    private static func isLocal(origin: String) -> Bool {
        if origin == "file://" { return true }
        guard let scheme = ["http://", "https://"].first(where: origin.hasPrefix) else { return false }
        return Loopback.contains(authority: origin.dropFirst(scheme.count))
    }
}
