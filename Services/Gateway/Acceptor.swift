import Dialects
import Events
import Logging
import Metrics
import NIOConcurrencyHelpers
import Peers
import Requests
import ServiceKit
import Threads
import WebSockets

/// The edge's listeners. Reads each request's head, has it judged, answers refusals as complete HTTP/1.1 responses, and hands
/// accepted upgrades to a loop.
final class Acceptor: Sendable {
    private struct Listener: Sendable {
        /// Its place after the edge's first port.
        let place: Int
        let socket: TCPSocket
    }

    private let listeners: [Listener]
    private let doorman: Doorman
    private let edge: Edge
    private let tls: TLSTermination?
    private let proxyHeaders: ProxyHeaderCheck
    private let heads: PendingHeads
    private let logger: Logger
    /// When a lack of descriptors was last logged.
    private let exhaustionLogged = NIOLockedValueBox<ContinuousClock.Instant?>(nil)
    private let exhaustions = Counter(label: "gateway_descriptors_exhausted_total")

    /// From the connection to the end of its request head.
    private static let headTimeout = Duration.seconds(5)
    private static let farewellTimeout = Duration.seconds(2)
    private static let exhaustedPause = Duration.milliseconds(100)
    private static let exhaustedLogInterval = Duration.seconds(60)

    /// Binds the listeners, one a dialect. Throws when a port is taken.
    /// - Parameters:
    ///   - tls: if clients are to speak it; then they must.
    ///   - proxyHeaders: whose word about a connection's client counts.
    init(
        config: GatewayConfig, doorman: Doorman, edge: Edge, tls: TLSTermination?, proxyHeaders: ProxyHeaderCheck,
        logger: Logger
    ) throws {
        self.doorman = doorman
        self.heads = PendingHeads(max: PendingHeads.usualMax, proxies: doorman.proxies)
        self.edge = edge
        self.tls = tls
        self.proxyHeaders = proxyHeaders
        self.logger = logger
        self.listeners = try (0..<DialectRegistry.all.count).flatMap { place in
            let port = config.edgePort + place
            let main = Listener(place: place, socket: try TCPSocket.listen(host: config.edgeHost, port: port))
            guard config.edgeHost == "127.0.0.1" else { return [main] }
            // `localhost` is ::1 first for many clients; a machine without IPv6 does without.
            let other = try? TCPSocket.listen(host: "::1", port: port)
            return [main] + (other.map { [Listener(place: place, socket: $0)] } ?? [])
        }
    }

    func beginDraining() { self.doorman.census.beginDraining() }

    /// Accepts until it is cancelled.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            for listener in self.listeners { group.addTask { await self.serve(listener) } }
        }
        for listener in self.listeners { listener.socket.close() }
    }

    private func serve(_ listener: Listener) async {
        await withDiscardingTaskGroup { group in
            while await SocketPoller.shared.wait(for: listener.socket.descriptor, .readable) == .ready {
                accepting: while !Task.isCancelled {
                    switch listener.socket.accept() {
                    case .socket(let socket, let peer):
                        group.addTask { await self.greet(socket, listener.place, peer) }
                    case .none: break accepting
                    case .exhausted:
                        self.recordExhaustion()
                        // `try?`: a cancelled sleep ends the loops above.
                        try? await Task.sleep(for: Self.exhaustedPause)
                        break accepting
                    }
                }
            }
        }
    }

    /// Counts each, and logs one a minute: every listener tries ten times a second.
    private func recordExhaustion() {
        self.exhaustions.increment()
        let now = ContinuousClock.now
        let isDue = self.exhaustionLogged.withLockedValue { last in
            if let time = last, now - time < Self.exhaustedLogInterval { return false }
            last = now
            return true
        }
        guard isDue else { return }
        self.logger.warning(
            "No descriptors left: new connections wait or are closed. Raise the limit of open files, or add gateways")
    }

    private func greet(_ accepted: TCPSocket, _ listener: Int, _ address: String) async {
        let deadline = ContinuousClock.now + Self.headTimeout
        guard let (socket, peer, greeting) = await self.open(accepted, address, by: deadline) else {
            return accepted.close()
        }
        switch greeting {
        case .gone: socket.close()
        case .refuse(let refusal): await self.refuse(socket, refusal)
        case .head(let head):
            switch await self.doorman.judge(head, listener: listener, peer: peer) {
            case .refuse(let refusal): await self.refuse(socket, refusal)
            case .open(let dialect, let request, let principal, let introduction):
                let arrived = Arrived(
                    dialect: dialect, request: request, principal: principal, introduction: introduction)
                self.hand(socket, head, arrived)
            }
        }
    }

    /// Reads what comes before the upgrade. While the client lets it wait, the connection is one of the pending heads. Returns `nil` if
    /// the connection is to be closed without a word.
    private func open(
        _ accepted: TCPSocket, _ address: String, by deadline: ContinuousClock.Instant
    ) async -> (socket: TCPSocket, peer: Peer, greeting: Greeting)? {
        var place = PendingHeads.Place(among: self.heads)
        let opening = await ConnectionOpening.read(
            accepted, from: address, by: deadline, isExact: self.tls != nil, self.proxyHeaders, place: &place)
        guard let opening else { return nil }
        // With TLS the client has to answer before its head can come.
        if self.tls != nil, !place.wait(as: opening.peer.address) { return nil }
        guard let socket = self.plainSide(of: accepted, opening.peer) else { return nil }
        let greeting = await self.readHead(socket, opening, by: deadline, place: &place)
        return (socket, opening.peer, greeting)
    }

    /// The connection without its TLS. `nil`: there were no descriptors for it; `socket` is still open.
    private func plainSide(of socket: TCPSocket, _ peer: Peer) -> TCPSocket? {
        guard let tls = self.tls else { return socket }
        let plain = tls.plainSide(of: socket, peer: peer.address)
        if plain == nil { self.recordExhaustion() }
        return plain
    }

    private enum Greeting {
        case head(RequestHead)
        case refuse(HTTPRefusal)
        case gone
    }

    private func readHead(
        _ socket: TCPSocket, _ opening: ConnectionOpening, by deadline: ContinuousClock.Instant,
        place: inout PendingHeads.Place
    ) async -> Greeting {
        var bytes = opening.leftover
        var searched = 0
        while true {
            switch RequestHead.parse(bytes, searched: searched) {
            case .complete(let head): return .head(head)
            case .malformed: return .refuse(Doorman.json(400, "Not an HTTP/1.1 request"))
            case .tooLong: return .refuse(Doorman.json(431, "The request head is too long"))
            case .incomplete: searched = bytes.count
            }
            // Also for a client that always sends just a little more.
            guard ContinuousClock.now < deadline else { return .refuse(Doorman.json(408, "The request took too long")) }
            switch socket.read(upTo: 4096) {
            case .ended: return .gone
            case .bytes(let more): bytes += more
            case .wait:
                guard place.wait(as: opening.peer.address) else { return .gone }
                switch await SocketPoller.shared.wait(for: socket.descriptor, .readable, timeout: deadline - .now) {
                case .ready, .timedOut: continue
                case .cancelled: return .gone
                }
            }
        }
    }

    private struct Arrived {
        let dialect: Int
        let request: UpgradeRequest
        let principal: Principal?
        let introduction: Introduction?
    }

    private func hand(_ socket: TCPSocket, _ head: RequestHead, _ arrived: Arrived) {
        let profile = DialectRegistry.all[arrived.dialect].profile
        let upgrade = Upgrade(
            descriptor: socket.descriptor, key: head.headers["sec-websocket-key"] ?? "", leftover: head.leftover,
            messageBytesMax: profile.messageBytesMax)
        let arrival = Arrival(
            upgrade: upgrade, dialect: arrived.dialect, request: arrived.request, principal: arrived.principal,
            introduction: arrived.introduction)
        self.edge.adopt(arrival)
    }

    private func refuse(_ socket: TCPSocket, _ refusal: HTTPRefusal) async {
        Counter(label: "gateway_refusals_total", dimensions: [("status", "\(refusal.status)")]).increment()
        let deadline = ContinuousClock.now + Self.farewellTimeout
        await socket.write(refusal.bytes, by: deadline)
        await socket.closeGracefully(by: deadline)
    }
}

extension HTTPRefusal {
    /// The complete response.
    fileprivate var bytes: [UInt8] {
        let fields = self.headers.merging(["Content-Length": "\(self.body.utf8.count)"]) { $1 }
        let connection = self.headers["Connection"] == nil ? "Connection: close\r\n" : ""
        let lines = fields.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)\r\n" }.joined()
        return Array("HTTP/1.1 \(self.status) \(self.reason)\r\n\(lines)\(connection)\r\n\(self.body)".utf8)
    }

    private var reason: String {
        switch self.status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        default: "Refused"
        }
    }
}
