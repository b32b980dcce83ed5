import Access
import Dialects
import Events
import HummingbirdCore
import Metrics
import Peers
import Requests
import ServiceKit
import WebSockets

/// Decides what becomes of a request at the edge: a dialect's upgrade, or a complete refusal.
struct Doorman: Sendable {
    enum Verdict {
        /// `dialect` is a place in the registry. A client was counted; whoever drops the connection says so to the census.
        case open(dialect: Int, UpgradeRequest, Principal?, Introduction?)
        case refuse(HTTPRefusal)
    }

    let census: Census
    let verifier: CredentialVerifier
    let proxies: TrustedProxies
    /// Whether local clients of a dialect that knows the anonymous principal need no credential.
    let allowsAnonymous: Bool
    /// The only origins whose pages are let in, in lower case; `nil`: all.
    let origins: Set<String>?

    private static let accepted = Counter(label: "gateway_upgrades_total")

    /// - Parameter listener: the listener's place after the edge's first port.
    func judge(_ head: RequestHead, listener: Int, peer: Peer) async -> Verdict {
        let address = self.proxies.client(peer, forwardedFor: head.headers["x-forwarded-for"])
        // A plus is a blank in a query, as browsers write it in forms and Go reads it.
        let uri = URI(Self.withoutPlus(head.target))
        let request = UpgradeRequest(
            path: uri.path, query: uri.queryParameters.map { (String($0.key), String($0.value)) },
            headers: head.headers,
            remoteAddress: address, isLocal: self.allowsAnonymous && Self.isLocal(head, peer))
        guard let dialect = DialectRegistry.route(request, listener: listener),
            let place = DialectRegistry.all.firstIndex(where: { $0.profile.name == dialect.profile.name })
        else { return .refuse(Self.notFound(uri.path)) }
        if let refusal = Self.handshakeProblem(head) { return .refuse(refusal) }
        // Only browsers say where a page comes from, and they always do (RFC 6455 §10.2).
        if let origins = self.origins, let origin = head.headers["origin"], !origins.contains(origin.lowercased()) {
            return .refuse(Self.json(403, "Pages of this origin are not let in"))
        }
        guard !self.census.isDraining else { return .refuse(dialect.profile.drainRefusal) }
        guard self.census.attempt(dialect.profile, from: address) else {
            return .refuse(dialect.profile.attemptRefusal)
        }
        var (principal, introduction): (Principal?, Introduction?)
        switch dialect.admit(request) {
        case .refuse(let refusal): return .refuse(refusal)
        case .open(let known): principal = known
        case .introduce(let credential):
            let result = await self.verifier.result(for: credential, remoteAddress: address)
            introduction = Introduction(credential: credential, result: result)
        case .verify(let credential, let refusal):
            switch await self.verifier.result(for: credential, remoteAddress: address) {
            case .success(let verified): principal = verified
            case .failure(.invalid): return .refuse(refusal)
            case .failure(.unavailable): return .refuse(dialect.profile.unverifiedRefusal)
            case .failure(.limited(let seconds)):
                var refusal = dialect.profile.attemptRefusal
                refusal.headers["Retry-After"] = "\(seconds)"
                return .refuse(refusal)
            }
        }
        guard self.census.enter(dialect.profile) else { return .refuse(dialect.profile.connectionsRefusal) }
        Self.accepted.increment()
        return .open(dialect: place, request, principal, introduction)
    }

    private static func isLocal(_ head: RequestHead, _ peer: Peer) -> Bool {
        let fields = head.headers.lazy.filter { $0.key != "host" }.map { (name: $0.key, value: $0.value) }
        return LocalClientPolicy.reasonNotLocal(peer, hosts: [head.headers["host"] ?? ""], fields: fields) == nil
    }

    /// A target with each plus in its query as `%20`.
    private static func withoutPlus(_ target: String) -> String {
        guard let question = target.utf8.firstIndex(of: UInt8(ascii: "?")), target.utf8.contains(UInt8(ascii: "+"))
        else {
            return target
        }
        let query = target[question...].split(separator: "+", omittingEmptySubsequences: false)
        return target[..<question] + query.joined(separator: "%20")
    }

    /// What is wrong with an upgrade by RFC 6455 §4.2.1; `nil`: nothing.
    private static func handshakeProblem(_ head: RequestHead) -> HTTPRefusal? {
        guard head.header("upgrade", contains: "websocket"), head.header("connection", contains: "upgrade") else {
            return Self.json(
                426, "This is a WebSocket endpoint; the REST resources are served by the services' own ports",
                Self.upgradeNeeded)
        }
        guard head.method == "GET" else { return Self.json(405, "An upgrade is a GET", ["Allow": "GET"]) }
        guard head.headers["sec-websocket-version"] == "13" else {
            return Self.json(
                426, "WebSocket version 13 is needed",
                Self.upgradeNeeded.merging(["Sec-WebSocket-Version": "13"]) { own, _ in own })
        }
        guard let key = head.headers["sec-websocket-key"], Upgrade.isKey(key) else {
            return Self.json(400, "Sec-WebSocket-Key must be 16 bytes in base 64")
        }
        return nil
    }

    private static let upgradeNeeded = ["Upgrade": "websocket", "Connection": "Upgrade, close"]

    /// Says who owns a path that is not the gateway's (docs/dialects/README.md §2).
    private static func notFound(_ path: String) -> HTTPRefusal {
        let owners: [(prefix: String, service: String)] = [
            ("/api/v1/streams", "stream-metrics"), ("/v1/streams", "stream-metrics"),
            ("/v1/recordings", "stream-metrics"), ("/v1/media", "stream-metrics"), ("/kappa/v2", "stream-metrics"),
            ("/api/v1/auth", "auth"), ("/v1/auth", "auth"), ("/v1/tokens", "auth"), ("/v1/tickets", "auth"),
            ("/oauth2", "auth"), ("/v1/oauth2", "auth"),
            ("/.well-known", "auth"),
            ("/api/v1", "radio-playout"), ("/v1/cameras", "camera-events"),
            ("/api/health", "performance-monitor"), ("/api/ready", "performance-monitor"),
            ("/api/config", "performance-monitor"), ("/api/performance", "performance-monitor"),
            ("/api/system", "performance-monitor"), ("/api", "obs-bridge"),
        ]
        let owner = owners.first { path == $0.prefix || path.hasPrefix($0.prefix + "/") }
        guard let owner else { return Self.json(404, "No such path") }
        return Self.json(404, "This path is served by \(owner.service), on its own port or behind the load balancer")
    }

    static func json(_ status: Int, _ message: String, _ headers: [String: String] = [:]) -> HTTPRefusal {
        let body = String(decoding: JSON.object(["error": .string(message)]).bytes, as: UTF8.self)
        return HTTPRefusal(
            status, headers: headers.merging(["Content-Type": "application/json"]) { own, _ in own }, body: body)
    }
}
