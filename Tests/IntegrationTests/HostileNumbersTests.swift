import Events
import Foundation
import NIOConcurrencyHelpers
import NIOHTTP1
import TestSupport
import Testing

/// Numbers that no computer likes, in all that comes from outside: none of them ends a process, now or after a restart.
@Suite("Hostile numbers", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct HostileNumbersTests {
    private static let numbers = ["-9223372036854775808", "9223372036854775807", "1e308", "-1e308", "NaN"]
    /// A number, and the one that takes its place.
    private static let pairs = [
        ("-9000000000000000000", "9000000000000000000"), ("-9223372036854775808", "9223372036854775807"),
        ("1e308", "-1e308"), ("NaN", "1"),
    ]
    private static let secret = "a-secret-of-media-servers"

    // MARK: requests

    @Test(.enabled(if: PythonClient.interpreter != nil, "./crosspoint test installs what it needs"))
    func `in every query, body and hook, of every service`() async throws {
        let servers: [JSON] = ["nginx-rtmp", "srs", "mediamtx"].map {
            ["name": $0, "kind": $0, "secret": .string(Self.secret)]
        }
        try await Self.withMediaServers(.array(servers), ServiceName.publishers) { suite in
            try await FakeOBS.with { obs in
                try await OBSClient(suite).succeed("POST", "/connect", ["host": "127.0.0.1", "port": JSON(obs.port)])
                try await Self.survive(suite, ServiceName.publishers) {
                    let ports = Dictionary(
                        uniqueKeysWithValues: ServiceName.publishers.map { ($0.rawValue, JSON(suite.port($0))) })
                    let report = try await PythonClient.run(
                        "hostile_numbers", against: suite,
                        environment: [
                            "CROSSPOINT_PORTS": String(decoding: JSON.object(ports).bytes, as: UTF8.self),
                            "CROSSPOINT_OBS_PORT": "\(obs.port)", "CROSSPOINT_HOOK_SECRET": Self.secret,
                        ])
                    print(report.checked.joined(separator: "\n"))
                }
            }
        }
    }

    @Test func `the start of a stream's analytics may be any number`() async throws {
        try await Suite.with([.auth, .streamMetrics], gateways: 0) { suite in
            let client = try await StreamsClient(suite)
            let stream = try await client.create()
            try await Self.survive(suite, [.auth, .streamMetrics]) {
                for number in Self.numbers {
                    for name in ["start", "end"] {
                        let answer = try await client.call("GET", "/\(stream)/analytics?\(name)=\(number)")
                        #expect(answer.status == 400, "\(name)=\(number): \(answer)")
                    }
                }
                let wide = try await client.call(
                    "GET", "/\(stream)/analytics?start=-62135596800000&end=253402300799999")
                #expect(wide.status == 200 && wide.body["start"] == "0001-01-01T00:00:00.000Z", "\(wide)")
            }
        }
    }

    // MARK: OBS and media servers

    @Test func `in every answer of OBS, and in every media server's statistics`() async throws {
        try await AnsweringServer.with { server in
            let statistics = MediaStatistics(pairs: Self.pairs)
            server.serve { statistics.answer($0) }
            let servers = statistics.servers(at: server.url, secret: Self.secret)
            let services: [ServiceName] = [.auth, .obsBridge, .streamMetrics, .performanceMonitor]
            try await Self.withMediaServers(servers, services) { suite in
                let client = try await StreamsClient(suite)
                try await Self.survive(suite, services) {
                    try await statistics.publish(to: suite, client, secret: Self.secret)
                    try await withThrowingDiscardingTaskGroup { group in
                        for (number, pair) in Self.pairs.enumerated() {
                            group.addTask { try await Self.answer(pair, as: "obs-\(number)", suite, client) }
                        }
                        group.addTask { try await Self.answerAsFound(suite, client) }
                        group.addTask { try await statistics.waitUntilRead() }
                    }
                }
            }
        }
    }

    /// An OBS all of whose numbers are the pair's first one, then its second, then the second from the start of a link.
    private static func answer(
        _ pair: (String, String), as name: String, _ suite: Suite, _ client: StreamsClient
    ) async throws {
        try await FakeOBS.with { obs in
            let api = try await Self.connect(obs, as: name, suite, client)
            obs.answer("GetStreamStatus", with: ["outputActive": true])
            for text in [pair.0, pair.1] {
                obs.numberText = text
                // After what is no JSON the link begins anew, later each time.
                try await Self.ask(obs, times: text == "NaN" ? 1 : 2)
            }
            obs.dropAll()
            let made = obs.connectionsMade
            try await Suite.eventually("\(name) is tried again") { obs.connectionsMade > made }
            _ = try await api.send("GET", "/stats")
            _ = try await api.send("GET", "/scenes")
            _ = try await api.send("GET", "/current-scene")
            obs.numberText = nil
        }
    }

    /// Three answers, each of which has ended a process.
    private static func answerAsFound(_ suite: Suite, _ client: StreamsClient) async throws {
        try await FakeOBS.with { obs in
            _ = try await Self.connect(obs, as: "found", suite, client)
            obs.answer("GetStats", with: ["cpuUsage": 1e308, "memoryUsage": 1, "activeFps": 60])
            var status: [String: JSON] = [
                "outputActive": true, "outputDuration": .integer(.min),
                "outputBytes": .integer(-9_000_000_000_000_000_000),
                "outputTotalFrames": 0,
            ]
            obs.answer("GetStreamStatus", with: status)
            try await Self.ask(obs, times: 2)
            status["outputBytes"] = .integer(9_000_000_000_000_000_000)
            status["outputTotalFrames"] = 1
            obs.answer("GetStreamStatus", with: status)
            try await Self.ask(obs, times: 2)
        }
    }

    private static func connect(
        _ obs: FakeOBS, as name: String, _ suite: Suite, _ client: StreamsClient
    ) async throws -> OBSClient {
        let body: JSON = [
            "name": .string(name), "host": "127.0.0.1", "port": JSON(obs.port),
            "streamId": .string(try await client.create()),
        ]
        let api = OBSClient(suite, token: client.token, connection: name)
        let made = try await OBSClient(suite, token: client.token).send("POST", "/connections", body)
        #expect(made.status == 201, "\(made)")
        try await api.waitUntilConnected()
        return api
    }

    /// Waits until OBS was asked for its statistics so often from now on, and something was done with the answers.
    private static func ask(_ obs: FakeOBS, times: Int) async throws {
        func count() -> Int { obs.requests.count { $0.type == "GetStats" } }
        let before = count()
        try await Suite.eventually("OBS is asked") { count() >= before + times }
    }

    // MARK: restarts

    @Test func `an OBS that ends its process is left alone after three tries, until somebody connects it`() async throws
    {
        try await OBSFaultTests.with { suite, obs, api in
            // A clean end, and one after the trial, would not count; a crash is like this.
            for _ in 0..<3 {
                try await api.waitUntilConnected()
                try await suite.kill9(.obsBridge)
                try suite.start(.obsBridge)
                try await suite.waitUntilReady(.obsBridge)
            }
            try await Suite.eventually("it is stopped") { try await api.resource["state"] == "stopped" }
            #expect(try await api.resource["problem"]?.string?.contains("ended 3 times") == true)
            let made = obs.connectionsMade
            // Nor after a clean restart.
            #expect(try await suite.end("obs-bridge", SIGTERM) == 0)
            try suite.start(.obsBridge)
            try await suite.waitUntilReady(.obsBridge)
            try await Suite.eventually("it is stopped") { try await api.resource["state"] == "stopped" }
            #expect(obs.connectionsMade == made)

            try await api.succeed("POST", "/reconnect")
            #expect(try await api.isConnected)
            // Clean ends count for nothing, however many.
            for _ in 0..<3 {
                #expect(try await suite.end("obs-bridge", SIGTERM) == 0)
                try suite.start(.obsBridge)
                try await suite.waitUntilReady(.obsBridge)
                try await api.waitUntilConnected()
            }
        }
    }

    // MARK: setting up

    private static func withMediaServers(
        _ servers: JSON, _ services: [ServiceName], _ body: (Suite) async throws -> Void
    ) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "numbers-\(UUID().uuidString).json")
        try Data(servers.bytes).write(to: file)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        try await Suite.with(
            services, gateways: 0, environment: ["STREAM_METRICS_MEDIA_SERVERS_FILE": file.path], body)
    }

    /// The same processes run before and after, and are well.
    private static func survive(
        _ suite: Suite, _ services: [ServiceName], _ body: () async throws -> Void
    ) async throws {
        let pids = try services.map { try suite.pid($0.rawValue) }
        try await body()
        for (service, pid) in zip(services, pids) {
            let tail = suite.log(service.rawValue).suffix(1500)
            #expect(try suite.isRunning(service.rawValue) && suite.pid(service.rawValue) == pid, "\(tail)")
            let health = try await suite.request("GET", service, "/healthz")
            #expect(health.status == 200, "\(service.rawValue)")
            try await suite.waitUntilReady(service, within: .seconds(10))
        }
    }
}

/// The statistics of media servers of all kinds, a server for each kind and pair: at first with the pair's first number in every place
/// of a number, later with its second.
private final class MediaStatistics: Sendable {
    private struct Server: Sendable {
        let kind: String
        let pair: (String, String)
        var stream = ""
        var answers = 0
    }

    private let servers: NIOLockedValueBox<[String: Server]>

    init(pairs: [(String, String)]) {
        var servers: [String: Server] = [:]
        for kind in ["nginx-rtmp", "srs", "mediamtx"] {
            for (number, pair) in pairs.enumerated() { servers["\(kind)-\(number)"] = Server(kind: kind, pair: pair) }
        }
        self.servers = NIOLockedValueBox(servers)
    }

    func servers(at url: String, secret: String) -> JSON {
        .array(
            self.servers.withLockedValue { $0 }.map { name, server in
                [
                    "name": .string(name), "kind": .string(server.kind), "secret": .string(secret),
                    "statistics": .string("\(url)/\(name)"),
                ]
            })
    }

    /// Has somebody publish at each of them.
    func publish(to suite: Suite, _ client: StreamsClient, secret: String) async throws {
        let made = try await suite.request(
            "POST", .auth, "/v1/auth/keys", ["name": "encoder", "scopes": ["streams:write"]], token: client.token)
        let key = try #require(made["key"]?.string)
        for (name, server) in self.servers.withLockedValue({ $0 }) {
            let stream = try await client.create()
            self.servers.withLockedValue { $0[name]?.stream = stream }
            let form = "application/x-www-form-urlencoded"
            let bodies: [(type: String, text: String)] =
                switch server.kind {
                case "nginx-rtmp": [(form, "call=publish&name=\(stream)&clientid=1&addr=127.0.0.1&key=\(key)")]
                case "srs":
                    [
                        (
                            "application/json",
                            #"{"action":"on_publish","client_id":"1","stream":"\#(stream)","param":"?key=\#(key)"}"#
                        )
                    ]
                default:
                    [
                        (
                            "application/json",
                            #"{"action":"publish","path":"\#(stream)","id":"1","query":"key=\#(key)"}"#
                        ),
                        (form, "action=ready&path=\(stream)&source=1"),
                    ]
                }
            for body in bodies {
                let answer = try await HTTPClient.request(
                    "POST", port: suite.port(.streamMetrics), path: "/hooks/\(name)?secret=\(secret)",
                    headers: [("content-type", body.type)], body: Array(body.text.utf8))
                #expect((200..<300).contains(answer.status), "\(name): \(String(decoding: answer.body, as: UTF8.self))")
            }
        }
    }

    func answer(_ uri: String) -> (status: HTTPResponseStatus, body: String) {
        let name = String(uri.dropFirst().prefix { $0 != "/" && $0 != "?" })
        let server = self.servers.withLockedValue { servers -> Server? in
            // Of several pages the first.
            if !uri.contains("/clients"), !uri.contains("page=") || uri.contains("page=0&") {
                servers[name]?.answers += 1
            }
            return servers[name]
        }
        guard let server else { return (.notFound, "") }
        let number = server.answers <= 2 ? server.pair.0 : server.pair.1
        let body =
            switch server.kind {
            case "nginx-rtmp":
                """
                <rtmp><uptime>N</uptime><server><application><name>live</name><live><stream><name>\(server.stream)</name><time>N</time>
                <bytes_in>N</bytes_in><client><id>1</id><time>N</time><publishing/></client><client><id>N</id><time>N</time></client>
                <meta><video><width>N</width><frame_rate>N</frame_rate></video></meta></stream></live></application></server></rtmp>
                """
            case "srs" where uri.contains("/clients"):
                """
                {"code":0,"clients":[{"id":"1","stream":"v","ip":"1.2.3.4","publish":true,"alive":N},
                {"id":"2","stream":"v","ip":"1.2.3.4","publish":false,"alive":N}]}
                """
            case "srs":
                """
                {"code":0,"streams":[{"id":"v","name":"\(server.stream)","live_ms":N,"clients":N,"frames":N,"recv_bytes":N,
                "publish":{"active":true,"cid":"1"}}]}
                """
            default:
                """
                {"itemCount":N,"pageCount":N,"items":[{"name":"\(server.stream)","ready":true,"readyTime":"2026-11-26T02:00:00Z",
                "source":{"type":"rtmpConn","id":"1"},"bytesReceived":N,"readers":[{"type":"webRTCSession","id":"2"}]}]}
                """
            }
        return (.ok, body.replacing("N", with: number))
    }

    /// Waits until each has been asked with both numbers, and once more.
    func waitUntilRead() async throws {
        try await Suite.eventually("all statistics are read") {
            self.servers.withLockedValue { $0.values.allSatisfy { $0.answers >= 4 } }
        }
    }
}
