public import Logging
import Metrics
import NIOConcurrencyHelpers
public import Peers

/// Decides which PROXY headers are believed: those with our own HAProxy's key, and those of a health check, which say nothing.
///
/// A connection whose header is refused is closed at once: whoever sent it wanted to be taken for somebody else.
public struct ProxyHeaderCheck: Sendable {
    private let key: ProxyKey?
    private let logger: Logger
    private let warned = NIOLockedValueBox<Set<Refusal>>([])

    /// Why a header is refused.
    public enum Refusal: String, Sendable {
        case noKey = "no key is set"
        case wrongKey = "wrong key"
        case malformed
        case incomplete
    }

    /// - Parameter key: `nil`: no header is believed.
    public init(key: ProxyKey?, logger: Logger) {
        self.key = key
        self.logger = logger
    }

    /// Returns why a complete header is refused, `nil` if it is believed.
    public func refusal(of header: ProxyHeader) -> Refusal? {
        guard let key = self.key else { return .noKey }
        if header.source == .balancer { return nil }
        return header.uniqueID.map(key.matches) == true ? nil : .wrongKey
    }

    /// Counts a refusal, and logs the first one of its kind for everybody to see.
    public func record(_ refusal: Refusal, from address: String) {
        Counter(label: "http_proxy_headers_refused_total", dimensions: [("reason", refusal.rawValue)]).increment()
        let isFirst = self.warned.withLockedValue { $0.insert(refusal).inserted }
        self.logger.log(
            level: isFirst ? .warning : .debug,
            "A connection with a PROXY header was closed; http.proxy.key.file and HAProxy's EDGE_PROXY_KEY must be the same",
            metadata: ["peer": "\(address)", "reason": "\(refusal.rawValue)"])
    }
}
