import Events
import TestSupport
import Testing

/// Who may do what to which OBS, and what the audit log says of it.
@Suite("OBS access", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSAccessTests {
    private typealias Call = (method: String, tail: String, body: JSON?)

    private static let reads: [Call] = [
        ("GET", "/status", nil), ("GET", "/scenes", nil), ("GET", "/current-scene", nil), ("GET", "/stats", nil),
        ("GET", "/studio-mode", nil), ("GET", "/stream", nil), ("GET", "/record", nil),
    ]
    private static let sceneCalls: [Call] = [
        ("POST", "/current-scene", ["sceneName": "Main"]), ("POST", "/studio-mode", ["enabled": true]),
        ("POST", "/preview-scene", ["sceneName": "Main"]), ("POST", "/transition", [:]),
    ]
    private static let streamCalls: [Call] = [
        ("POST", "/stream/start", nil), ("POST", "/stream/stop", nil), ("POST", "/record/start", nil),
        ("POST", "/record/stop", nil),
    ]
    private static let pictureCalls: [Call] = [("GET", "/screenshot", nil), ("GET", "/screenshot?source=Main", nil)]
    private static let connectCalls: [Call] = [
        ("POST", "/connect", ["host": "127.0.0.1", "port": 1]), ("POST", "/disconnect", nil),
        ("POST", "/reconnect", nil),
    ]
    private static let sourceCalls: [Call] = [("POST", "/inputs/Jingle/mute", ["muted": true])]
    private static let placementCalls: [Call] = [
        ("POST", "/source-x", nil), ("DELETE", "/source-x", nil), ("PUT", "/source-x/config", ["x": 1]),
        ("POST", "/bulk", ["sources": [["sourceId": "source-x"]]]), ("DELETE", "/bulk", ["sourceIds": ["source-x"]]),
    ]

    /// A studio that two connections lead to, `default` and `studio-a`.
    private static func with(
        gateways: Int = 0,
        _ body: (OBSStudio, _ client: (String, String?) async throws -> OBSClient) async throws -> Void
    ) async throws {
        try await OBSStudio.with(gateways: gateways, scenes: ["Main"]) { studio in
            _ = try await OBSClient.create(studio.suite, "studio-a", studio.obs)
            try await studio.hand.createInput("Jingle", in: "Main", kind: "ffmpeg_source")
            try await body(studio) { scope, connection in
                OBSClient(studio.suite, token: try await studio.suite.token(scope: scope), connection: connection)
            }
        }
    }

    /// Whether the answer to every call is of that status.
    private static func expect(_ status: Int, _ api: OBSClient, _ calls: [Call]) async throws {
        for (method, tail, body) in calls {
            let answer = try await api.send(method, tail, body)
            #expect(answer.status == status, "\(method) \(tail): \(answer)")
            if status >= 400 { #expect(answer["error"]?.string?.isEmpty == false) }
        }
    }

    private static func expectPlacements(_ status: Int, _ api: OBSClient) async throws {
        for (method, tail, body) in Self.placementCalls {
            let answer = try await api.send(method, scene: "Main", tail, body)
            #expect(answer.status == status, "\(method) \(tail): \(answer)")
        }
    }

    @Test func `who may only read changes nothing`() async throws {
        try await Self.with { studio, client in
            let before = try await studio.api.resource
            for connection in [nil, "default", "studio-a"] {
                let reader = try await client("obs:read", connection)
                try await Self.expect(200, reader, Self.reads)
                #expect(try await reader.send("GET", scene: "Main").status == 200)
                try await Self.expect(
                    403, reader,
                    Self.sceneCalls + Self.streamCalls + Self.connectCalls + Self.sourceCalls + Self.pictureCalls)
                try await Self.expectPlacements(403, reader)
                try await Self.expect(200, try await client("obs:screenshot", connection), Self.pictureCalls)
            }
            let reader = try await client("obs:read", nil)
            #expect(try await reader.send("GET", "/connections")["total"] == 2)
            let made: JSON = ["name": "studio-b", "host": "127.0.0.1", "port": 1]
            try await Self.expect(
                403, reader,
                [
                    ("POST", "/connections", made), ("PUT", "/connections/default", ["port": 1]),
                    ("DELETE", "/connections/default", nil), ("GET", "/audit", nil),
                ])
            #expect(try await studio.hand.programScene == "Scene")
            #expect(try await studio.api.resource == before)
            #expect(try await studio.api.send("GET", "/connections")["total"] == 2)
        }
    }

    @Test func `every verb has a scope of its own`() async throws {
        try await Self.with { _, client in
            let scenes = try await client("obs:scene", nil)
            try await Self.expect(200, scenes, Array(Self.sceneCalls.prefix(2)))
            try await Self.expect(
                403, scenes, Self.reads + Self.streamCalls + Self.connectCalls + Self.sourceCalls)
            try await Self.expectPlacements(403, scenes)
            let sources = try await client("obs:sources", nil)
            try await Self.expect(200, sources, Self.sourceCalls)
            #expect(try await sources.send("POST", scene: "Main", "/source-x").status == 404)
            try await Self.expect(403, sources, Self.reads + Self.sceneCalls + Self.streamCalls + Self.connectCalls)
            let stream = try await client("obs:stream", nil)
            try await Self.expect(409, stream, [("POST", "/stream/stop", nil), ("POST", "/record/stop", nil)])
            try await Self.expect(403, stream, Self.reads + Self.sceneCalls + Self.connectCalls + Self.sourceCalls)
            let connect = try await client("obs:connect", nil)
            try await Self.expect(200, connect, [("POST", "/reconnect", nil), ("GET", "/audit", nil)])
            try await Self.expect(403, connect, Self.reads + Self.sceneCalls + Self.streamCalls + Self.sourceCalls)
            try await Self.expectPlacements(403, connect)
        }
    }

    @Test func `a scope may be for one connection only`() async throws {
        try await Self.with { studio, client in
            let main: Call = ("POST", "/current-scene", ["sceneName": "Main"])
            for connection in [nil, "default"] {
                try await Self.expect(200, try await client("obs:scene:default", connection), [main])
                try await Self.expect(403, try await client("obs:scene:studio-a", connection), [main])
                try await Self.expect(403, try await client("obs:scene:default", connection), Self.streamCalls)
                let all = try await client("obs:*:studio-a", connection)
                try await Self.expect(
                    403, all,
                    Self.reads + Self.sceneCalls + Self.streamCalls + Self.connectCalls + Self.sourceCalls)
                try await Self.expectPlacements(403, all)
                #expect(try await all.send("GET", scene: "Main").status == 403)
            }
            try await Self.expect(403, try await client("obs:scene:default", "studio-a"), [main])
            try await Self.expect(200, try await client("obs:scene:studio-a", "studio-a"), [main])
            let all = try await client("obs:*:studio-a", "studio-a")
            try await Self.expect(
                200, all, Self.reads + [main, ("GET", "", nil), ("PUT", "", ["refreshPages": false])])
            try await Self.expect(
                200, all, Self.sourceCalls + [("POST", "/disconnect", nil), ("POST", "/connect", [:])])
            try await Self.expect(409, all, [("POST", "/stream/stop", nil)])
            let id = try await studio.sources.create("Donations")
            try await all.place(id, in: "Main")
            #expect(try await all.send("DELETE", scene: "Main", "/\(id)").status == 200)
            try await Self.expect(403, try await client("obs:*:studio-a", "default"), [("DELETE", "", nil)])
            try await Self.expect(200, all, [("DELETE", "", nil)])
        }
    }

    @Test func `nobody of this machine may work in OBS but not go live, and others may nothing`() async throws {
        try await Self.with { studio, _ in
            try await Self.expect(200, studio.api, Self.reads + Array(Self.sceneCalls.prefix(1)) + Self.sourceCalls)
            try await Self.expect(403, studio.api, Self.streamCalls)
            #expect(try await studio.hand.request("GetRecordStatus")["outputActive"] == false)
            let stranger = OBSClient(studio.suite, token: "wrong")
            try await Self.expect(
                401, stranger,
                Self.reads + Self.sceneCalls + Self.streamCalls + Self.connectCalls + Self.sourceCalls)
            try await Self.expectPlacements(401, stranger)
            for (method, path) in [
                ("GET", "/api/obs/status"), ("POST", "/api/obs/disconnect"), ("GET", "/api/obs/connections"),
                ("GET", "/api/scenes/Main/sources"),
            ] {
                // A page of another site.
                let answer = try await studio.suite.request(
                    method, .obsBridge, path, headers: [("Origin", "https://evil.example")])
                #expect(answer.status == 401, "\(method) \(path)")
            }
            #expect(try await studio.api.isConnected)
        }
    }

    @Test func `who may read one connection hears of that one only`() async throws {
        try await Self.with(gateways: 1) { studio, _ in
            let suite = studio.suite
            let client = try await suite.listen(["obs:*"], token: try await suite.token(scope: "obs:read:studio-a"))
            let (main, other) = (studio.api, OBSClient(suite, connection: "studio-a"))
            let id = try await other.succeed("GET", "/status")["connectionId"]
            for api in [main, other, main, other] { try await api.succeed("POST", "/reconnect") }
            for connected in [false, true, false, true] {
                let message = try await client.next { $0["event"] != "obs:statsUpdate" }
                #expect(message["event"] == "obs:connectionChanged" && message["data"]?["connectionId"] == id)
                #expect(message["data"]?["connected"] == .bool(connected))
            }
            // Both connections tell of it; one of the two is heard.
            try await studio.hand.switchTo("Main")
            let change = try await client.next { $0["event"] != "obs:statsUpdate" }
            #expect(change["event"] == "obs:sceneChanged" && change["data"]?["currentScene"] == "Main")
            try await Suite.eventually("both have told") { try await main.log("obs.sceneChanged").count == 2 }
            try await other.succeed("POST", "/disconnect")
            let last = try await client.next { $0["event"] != "obs:statsUpdate" }
            #expect(last["event"] == "obs:connectionChanged")
        }
    }

    @Test func `what was done, what failed and what was refused is in the audit log`() async throws {
        try await Self.with { studio, client in
            let audit = try await client("obs:connect", nil)
            func entries(_ query: String = "limit=100") async throws -> [JSON] {
                try #require(try await audit.succeed("GET", "/audit?\(query)")["entries"]?.array)
            }
            func newest(_ outcome: String, after id: JSON?) async throws -> JSON {
                var found: JSON?
                try await Suite.eventually("\(outcome) is written", within: .seconds(10)) {
                    let new = try await entries().prefix { $0["id"] != id }
                    found = new.first { $0["outcome"]?.string == outcome }
                    return found != nil
                }
                let entry = try #require(found)
                #expect(
                    entry.keys == [
                        "id", "time", "connection", "command", "actor", "credential", "address", "outcome", "error",
                        "details",
                    ])
                #expect(entry["time"]?.isTime == true && entry["address"] == "127.0.0.1")
                #expect(entry["command"]?.string?.isEmpty == false && entry["details"]?.object != nil)
                return entry
            }
            let scenes = try await client("obs:scene obs:stream", nil)
            var last = try await entries().first?["id"]
            try await scenes.succeed("POST", "/current-scene", ["sceneName": "Main"])
            let done = try await newest("done", after: last)
            #expect(done["connection"] == "default" && done["error"] == .null)
            #expect(done["actor"]?.string?.isEmpty == false && done["credential"]?.string?.isEmpty == false)

            last = try await entries().first?["id"]
            #expect(try await scenes.send("POST", "/stream/start").status == 500)
            let failed = try await newest("failed", after: last)
            #expect(failed["connection"] == "default" && failed["error"]?.string?.isEmpty == false)
            #expect(failed["credential"] == done["credential"] && failed["command"] != done["command"])

            last = try await entries().first?["id"]
            let reader = try await client("obs:read", "studio-a")
            #expect(try await reader.send("POST", "/current-scene", ["sceneName": "Scene"]).status == 403)
            let refused = try await newest("refused", after: last)
            #expect(refused["connection"] == "studio-a" && refused["command"] == done["command"])
            #expect(refused["credential"] != done["credential"])

            last = try await entries().first?["id"]
            #expect(try await studio.api.send("POST", "/stream/start").status == 403)
            #expect(try await newest("refused", after: last)["connection"] == "default")

            let all = try await entries()
            let ids = all.compactMap { $0["id"] }
            #expect(Set(ids).count == all.count)
            let times = all.compactMap { $0["time"]?.string }
            #expect(times == times.sorted(by: >))
            var (paged, before): ([JSON], String?) = ([], "")
            while let cursor = before {
                let page = try await audit.succeed("GET", "/audit?limit=2\(cursor)")
                let entries = try #require(page["entries"]?.array)
                #expect(page.body.keys == ["entries", "next"] && entries.count <= 2)
                paged += entries
                guard paged.count <= all.count, let next = page["next"], next != .null else { break }
                before = "&before=\(next.string ?? String(decoding: next.bytes, as: UTF8.self))"
            }
            #expect(paged == all)
            for query in ["limit=0", "limit=x", "limit=100000", "before=%00", "before='%20or%20true--"] {
                #expect(try await audit.send("GET", "/audit?\(query)").isError(400, prefix: ""), "\(query)")
            }
        }
    }
}
