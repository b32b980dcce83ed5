import Events
import Foundation
import Glibc
import TestSupport
import Testing

/// What bounds a gateway: before anybody has logged in, while nobody reads its log, and when operators ask.
@Suite("Bounds at the edge", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct EdgeBoundsTests {
    @Test func `a full log, silent connections and operators' questions hold nobody up`() async throws {
        let log = try FullPipe()
        try await Suite.with([.auth, .obsBridge]) { suite in
            try suite.startGateway(
                1, environment: ["LOG_LEVEL": "trace"],
                standardOutput: FileHandle(fileDescriptor: log.writer, closeOnDealloc: false))
            try suite.startGateway(2, descriptorsMax: 400)
            try await Self.measuresQueues(suite)
            try await Self.pagesConnections(suite)
            try await Self.deliversWithoutLog(suite, log)
            try await Self.boundsSilence(suite)
        }
    }

    // MARK: queues

    private static func measuresQueues(_ suite: Suite) async throws {
        let ports: [String: Int] = [
            "gateway": suite.operatorsPort(), "auth": suite.port(.auth), "obs-bridge": suite.port(.obsBridge),
        ]
        let rows = try Document("docs/operations.md").rows(in: "Queues")
        #expect(rows.count > 8)
        for row in rows {
            let processes =
                switch row[1] {
                case "every process": Array(ports.keys)
                case "every process but auth": ["gateway", "obs-bridge"]
                case "every service but the gateway": ["auth", "obs-bridge"]
                default: [row[1]]
                }
            for process in processes {
                let port = try #require(ports[process], "\(row)")
                for metric in ["queue_items", "queue_bytes", "queue_refused_total"] {
                    let series = "\(metric){queue=\"\(row[0].filter { $0 != "`" })\"}"
                    let value = try await Suite.metric(series, port: port)
                    #expect(value.map { $0 >= 0 } == true, "\(process) \(series): \(String(describing: value))")
                }
            }
        }
    }

    // MARK: connections

    private static func connections(
        _ suite: Suite, _ query: String = "", token: String?
    ) async throws -> (status: Int, body: JSON) {
        let answer = try await HTTPClient.request(
            "GET", port: suite.operatorsPort(), path: "/connections\(query)",
            headers: token.map { [("Authorization", "Bearer \($0)")] } ?? [])
        return (answer.status, JSON(parsing: answer.body) ?? .null)
    }

    private static func pagesConnections(_ suite: Suite) async throws {
        #expect(try await Self.connections(suite, token: nil).status == 401)
        var clients: [WebSocketClient] = []
        for _ in 0..<5 {
            let client = try await suite.connect(0, "/?token=\(try await suite.token(tenant: "ours"))")
            try await client.send(["action": "ping"])
            _ = try await client.next { $0["event"] == "pong" }
            clients.append(client)
        }
        let stranger = try await suite.connect(0, "/?token=\(try await suite.token(tenant: "theirs"))")
        try await stranger.send(["action": "ping"])
        _ = try await stranger.next { $0["event"] == "pong" }

        let reader = try await suite.token(tenant: "ours", scope: "system:read")
        var (seen, pages, next): ([String], Int, String?) = ([], 0, nil)
        repeat {
            let after = next.map { "&after=\($0)" } ?? ""
            let page = try await Self.connections(suite, "?limit=2\(after)", token: reader)
            #expect(page.status == 200)
            let listed = page.body["connections"]?.array ?? []
            #expect(listed.count <= 2 && listed.allSatisfy { $0["tenant"] == "ours" })
            seen += listed.compactMap { $0["id"]?.string }
            next = page.body["next"]?.string
            pages += 1
        } while next != nil && pages < 10
        #expect(seen.count == 5 && Set(seen).count == 5 && pages == 3)
        #expect(seen.compactMap { UInt64($0) } == seen.compactMap { UInt64($0) }.sorted())
        let all = try await Self.connections(suite, token: try suite.ownerKey).body
        #expect((all["connections"]?.array?.count ?? 0) >= 6 && all["next"] == nil)
        for query in ["?limit=0", "?limit=5001", "?limit=x", "?after=x"] {
            #expect(try await Self.connections(suite, query, token: reader).status == 400, "\(query)")
        }
        for client in clients + [stranger] { try await client.close() }
    }

    // MARK: a log that nobody reads

    private static func deliversWithoutLog(_ suite: Suite, _ log: FullPipe) async throws {
        try await suite.waitUntilGatewayHears([.auth, .obsBridge], 1)
        let client = try await suite.connect(0, "/", gateway: 1)
        try await client.send(["action": "subscribe", "events": ["sources:*"]])
        _ = try await client.next { $0["event"] == "subscription:confirmed" }
        let api = SourcesClient(suite)
        for number in 0..<10 {
            let id = try await api.create("source \(number)")
            let event = try await client.next { $0["event"] == "sources:create" }
            #expect(event["data"]?["source"]?["id"] == .string(id))
        }
        let waiting = try await Suite.metric(#"queue_items{queue="log"}"#, port: suite.operatorsPort(gateway: 1))
        #expect((waiting ?? 0) > 0)
        // Now somebody reads.
        let lines = try log.lines(until: #""message":"Starting""#)
        #expect(lines.first == FullPipe.line)
        log.readOn()
    }

    // MARK: silent connections

    private static func boundsSilence(_ suite: Suite) async throws {
        try await suite.waitUntilGatewayHears([.auth, .obsBridge], 2)
        let port = suite.edgePort(gateway: 2)
        // A quarter of the descriptors may wait for their heads.
        var silent: [RawConnection] = []
        for _ in 0..<130 {
            let connection = try RawConnection(port: port)
            connection.send("G")
            silent.append(connection)
        }
        let operators = suite.operatorsPort(gateway: 2)
        try await Suite.eventually("30 of 130 are closed", within: .seconds(4)) {
            let waiting = try await Suite.metric(#"queue_items{queue="heads"}"#, port: operators)
            let refused = try await Suite.metric(#"queue_refused_total{queue="heads"}"#, port: operators)
            return silent.count { $0.hasEnded } == 30 && waiting == 100 && refused == 30
        }
        // Who says what it wants is let in all the same.
        let client = try await suite.connect(0, "/", gateway: 2)
        try await client.send(["action": "ping"])
        _ = try await client.next { $0["event"] == "pong" }
        for connection in silent { connection.close() }

        // With no descriptors left the gateway tries on, and says so once.
        var clients: [RawConnection] = []
        for _ in 0..<420 {
            let connection = try RawConnection(port: port)
            connection.send(
                "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
            clients.append(connection)
        }
        // Five tries of a listener at least: half a second.
        try await Suite.eventually("descriptors are used up") {
            suite.log("gateway-2").contains("No descriptors left")
        }
        try await client.send(["action": "ping"])
        _ = try await client.next { $0["event"] == "pong" }
        try await Task.sleep(for: .milliseconds(1500))
        for connection in clients { connection.close() }
        try await Suite.eventually("the operators' port answers again") {
            (try await Suite.metric("gateway_descriptors_exhausted_total", port: operators) ?? 0) > 3
        }
        #expect(suite.log("gateway-2").components(separatedBy: "No descriptors left").count == 2)
    }
}

/// A pipe that takes no more, since nobody reads it.
private final class FullPipe: Sendable {
    let writer: Int32
    private let reader: Int32

    static let line = String(repeating: "-", count: 63)

    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Suite.Failure(description: "no pipe") }
        (self.reader, self.writer) = (ends[0], ends[1])
        _ = fcntl(self.writer, F_SETFL, O_NONBLOCK)
        let line = Array("\(Self.line)\n".utf8)
        while write(self.writer, line, line.count) > 0 {}
        _ = fcntl(self.writer, F_SETFL, 0)
    }

    /// Reads up to a line that has this text.
    func lines(until text: String) throws -> [String] {
        var read = ""
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var readable = pollfd(fd: self.reader, events: Int16(POLLIN), revents: 0)
        while !read.contains(text) || !read.hasSuffix("\n") {
            guard poll(&readable, 1, 10_000) > 0 else { throw Suite.Failure(description: "no \(text) in \(read)") }
            let count = Glibc.read(self.reader, &buffer, buffer.count)
            guard count > 0 else { throw Suite.Failure(description: "the log has ended") }
            read += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return read.split(separator: "\n").map(String.init)
    }

    /// Reads what comes from now on, so that the process may end.
    func readOn() {
        let reader = self.reader
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while Glibc.read(reader, &buffer, buffer.count) > 0 {}
        }
    }

    deinit { close(self.writer) }
}

/// A TCP connection without anything on it.
private final class RawConnection {
    private let descriptor: Int32

    init(port: Int) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Suite.Failure(description: "no connection: \(errno)") }
    }

    func send(_ text: String) { _ = Glibc.send(self.descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

    /// Whether the other side has ended it.
    var hasEnded: Bool {
        var byte: UInt8 = 0
        let count = recv(self.descriptor, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK))
        return count == 0 || count < 0 && errno != EAGAIN
    }

    func close() { Glibc.close(self.descriptor) }
}
