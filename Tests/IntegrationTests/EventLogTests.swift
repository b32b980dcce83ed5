import Bus
import Database
import Events
import TestSupport
import Testing

/// `GET /v1/events`: the durable log of a service, as whoever asks may see it.
@Suite("Event log", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct EventLogTests {
    private static let changes = ["sources.create", "sources.activate", "sources.deactivate", "sources.delete"]

    /// A source that was created, activated, deactivated and deleted, each in a millisecond of its own.
    private static func liveAndDie(_ api: SourcesClient, _ name: String) async throws -> String {
        let id = try await api.create(name)
        for (method, path) in [("POST", "/activate"), ("POST", "/deactivate"), ("DELETE", "")] {
            let moment = Timestamp.now
            try await Suite.eventually("a millisecond passes") { moment < .now }
            let answer = try await api.send(method, "/\(id)\(path)")
            #expect(answer.status == 200)
        }
        return id
    }

    @Test func `type, room and time choose events`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let ids = [try await Self.liveAndDie(api, "One"), try await Self.liveAndDie(api, "Two")]
            let all = try await suite.events(.obsBridge)
            #expect(all.map { $0["type"]?.string } == Self.changes + Self.changes)
            #expect(all.map(\.seq) == Array(1...8))
            #expect(Set(all.map { $0["id"] }).count == 8)

            let created = try await suite.events(.obsBridge, "type=sources.create")
            #expect(created == [all[0], all[4]])
            let some = try await suite.events(.obsBridge, "type=sources.create&type=sources.delete")
            #expect(some == [all[0], all[3], all[4], all[7]])
            #expect(try await suite.events(.obsBridge, "type=sources.nonsense") == [])
            #expect(try await suite.events(.obsBridge, "room=\(ids[1])") == Array(all[4...]))
            #expect(try await suite.events(.obsBridge, "room=\(ids[1])&type=sources.delete") == [all[7]])
            #expect(try await suite.events(.obsBridge, "room=nowhere") == [])

            // `from` is included, `to` is not.
            let times = all.compactMap { $0["time"]?.string }
            #expect(times.count == 8 && times == times.sorted())
            #expect(try await suite.events(.obsBridge, "from=\(times[1])&to=\(times[3])") == Array(all[1...2]))
            #expect(try await suite.events(.obsBridge, "from=\(times[7])") == [all[7]])
            #expect(try await suite.events(.obsBridge, "to=\(times[1])") == [all[0]])
            #expect(try await suite.events(.obsBridge, "from=\(times[3])&to=\(times[1])") == [])
        }
    }

    @Test func `a cursor goes through the log page by page`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            for name in ["One", "Two"] { _ = try await Self.liveAndDie(api, name) }
            let all = try await suite.events(.obsBridge)
            for limit in [1, 3, 8, 1000] {
                var (seen, cursor): ([JSON], Int64?) = ([], 0)
                while let after = cursor {
                    let page = try await suite.page(.obsBridge, "limit=\(limit)&after=\(after)")
                    #expect(page.events.count <= limit)
                    seen += page.events
                    cursor = page.next
                }
                #expect(seen == all, "limit \(limit)")
            }
            let creations = try await suite.page(.obsBridge, "type=sources.create&limit=1")
            #expect(creations.events == [all[0]] && creations.next == 1)
            #expect(try await suite.events(.obsBridge, "type=sources.create&limit=1&after=1") == [all[4]])
            #expect(try await suite.page(.obsBridge, "after=8").events == [])
            #expect(try await suite.page(.obsBridge, "after=\(Int64.max)").next == nil)
        }
    }

    @Test func `a parameter that is not valid is refused`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            for query in [
                "limit=0", "limit=1001", "limit=-1", "limit=many", "limit=", "after=-1", "after=x",
                "after=99999999999999999999", "from=yesterday", "from=", "to=2026-13-01T00:00:00Z", "type=%00",
                "room=%00", "type=sources.create&type=a%00b",
            ] {
                let answer = try await suite.request("GET", .obsBridge, "/v1/events?\(query)")
                #expect(answer.status == 400, "\(query): \(answer.body)")
                #expect(answer["error"]?.string?.isEmpty == false)
            }
        }
    }

    @Test func `a tenant sees its own events, a credential those of its scopes`() async throws {
        try await Suite.with([.auth, .streamMetrics, .obsBridge], gateways: 0) { suite in
            let ours = try await suite.token(tenant: "ours")
            let theirs = try await suite.token(tenant: "theirs")
            let follow: JSON = ["type": "follow", "provider": "twitch", "data": ["username": "bob"]]
            for tenant in ["ours", "theirs"] {
                let token = tenant == "ours" ? ours : theirs
                let stream = try #require(
                    try await suite.request(
                        "POST", .streamMetrics, "/v1/streams", ["title": "Show", "protocol": "srt"], token: token)[
                            "id"]?.string)
                for (path, body) in [
                    ("/kappa/v2/activities/\(tenant)", follow), ("/v1/streams/\(stream)/start", [:]),
                    ("/v1/streams/\(stream)/viewers", [:]), ("/v1/streams/\(stream)/stop", [:]),
                ] {
                    let answer = try await suite.request("POST", .streamMetrics, path, body, token: token)
                    #expect((200...201).contains(answer.status), "\(path) \(answer.body)")
                }
            }
            let own = try await suite.events(.streamMetrics, token: ours)
            let types = own.compactMap { $0["type"]?.string }
            #expect(types.contains("channel.activities") && types.contains("viewer.joined"))
            let room = try #require(own.first { $0["type"] == "stream.started" }?["room"]?.string)
            #expect(try await suite.events(.streamMetrics, "room=\(room)", token: ours).count >= 4)
            #expect(try await suite.events(.streamMetrics, "room=\(room)", token: theirs) == [])
            let foreign = try await suite.events(.streamMetrics, token: theirs)
            #expect(foreign.map { $0["type"]?.string } == types)
            #expect(Set(foreign.map(\.seq)).isDisjoint(with: own.map(\.seq)))
            let third = try await suite.token()
            #expect(try await suite.events(.streamMetrics, token: third) == [])

            for (scope, visibleTypes) in [
                ("streams:read", ["stream.started", "stream.ended"]),
                ("analytics:read", ["viewer.joined", "viewer.left"]),
                ("activities:read", ["channel.activities"]), ("stream-live:read", ["channel.stream.status"]),
                ("streams:read activities:read", ["channel.activities", "stream.started", "stream.ended"]),
                ("radio:read", []),
            ] as [(String, Set<String>)] {
                let reader = try await suite.token(tenant: "ours", scope: scope)
                let visible = own.filter { visibleTypes.contains($0["type"]?.string ?? "") }
                #expect(Set(visible.compactMap { $0["type"]?.string }) == visibleTypes)
                #expect(try await suite.events(.streamMetrics, token: reader) == visible, "\(scope)")
                // What is hidden leaves pages short, and never ends them.
                var (seen, cursor): ([JSON], Int64?) = ([], 0)
                while let after = cursor {
                    let page = try await suite.page(.streamMetrics, "limit=1&after=\(after)", token: reader)
                    seen += page.events
                    cursor = page.next
                }
                #expect(seen == visible, "\(scope), page by page")
            }

            #expect(try await suite.request("GET", .streamMetrics, "/v1/events").status == 401)
            #expect(try await suite.request("GET", .streamMetrics, "/v1/events", token: "wrong").status == 401)
            // Without a credential: Source Saver's own categories of the default tenant.
            let name = try await SourcesClient(suite, token: ours).create("ours")
            #expect(try await suite.events(.obsBridge, token: ours).map { $0["room"]?.string } == [name])
            #expect(try await suite.events(.obsBridge) == [])
            let open = try await SourcesClient(suite).create("open")
            #expect(try await suite.events(.obsBridge).map { $0["room"]?.string } == [open])
            let reader = try await suite.token(scope: "streams:read")
            #expect(try await suite.events(.obsBridge, token: reader) == [])
        }
    }

    @Test func `readers of a log that cannot be read are told so soon, and nothing else waits for them`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .obsBridge], gateways: 0, databaseURL: url) { suite in
                /// How many of the services' connections are held up, which are those that read this log.
                @Sendable func readers() async throws -> Int {
                    let rows = try await Suite.query(
                        url, schema: "obs_bridge",
                        "SELECT count(DISTINCT pid) AS count FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")
                    return try rows.first?.decode("count", as: Int.self) ?? 0
                }
                try await Suite.holding(url, "LOCK TABLE obs_bridge.event_log IN ACCESS EXCLUSIVE MODE") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<8 {
                            group.addTask {
                                while !Task.isCancelled {
                                    let start = ContinuousClock.now
                                    let answer = try await HTTPClient.request(
                                        "GET", port: suite.port(.obsBridge), path: "/v1/events?limit=10")
                                    let body = String(decoding: answer.body, as: UTF8.self)
                                    #expect(
                                        answer.status == 503 && body.lowercased().contains("the log"),
                                        "\(answer.status) \(body)")
                                    #expect(answer.headers["retry-after"] != nil)
                                    #expect(ContinuousClock.now - start < .seconds(8))
                                }
                            }
                        }
                        try await Suite.eventually("two readers wait, and the others for them") {
                            try await readers() == 2
                        }
                        for _ in 0..<3 {
                            #expect(try await suite.request("GET", .obsBridge, "/api/sources").status == 200)
                        }
                        // A follower's question waits for the lock as well, and not for the readers.
                        group.addTask {
                            while !Task.isCancelled {
                                let failure = await Self.replay(suite)
                                #expect(failure?.code == .unavailable || Task.isCancelled)
                            }
                        }
                        try await Suite.eventually("a follower's question waits beside them") {
                            try await readers() == 3
                        }
                        group.cancelAll()
                    }
                }
                #expect(try await suite.page(.obsBridge).next == nil)
                #expect(await Self.replay(suite) == nil)
            }
        }
    }

    /// Asks obs-bridge's log as a gateway does; returns how that failed.
    private static func replay(_ suite: Suite) async -> CommandFailure? {
        do {
            let client = CommandClient(
                endpoints: [.obsBridge: suite.endpoints(of: .obsBridge, try suite.bus.keys(.gateway))], logger: quiet)
            let request = ReplayRequest(after: nil, ago: 0, limit: 10)
            _ = try await TestSupport.with(client) {
                try await client.call(.obsBridge, ReplayRequest.name, body: JSON.encode(request))
            }
            return nil
        } catch {
            return error as? CommandFailure ?? CommandFailure(.internalError, "\(error)")
        }
    }

    @Test func `a hundred writes at once are numbered without a gap, and clients hear them in that order`() async throws
    {
        try await Suite.with([.auth, .obsBridge]) { suite in
            let client = try await suite.connect(0, "/")
            try await client.send(["action": "subscribe", "events": ["sources:*"]])
            _ = try await client.next { $0["event"] == "subscription:confirmed" }
            let api = SourcesClient(suite)
            let ids = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<100 { group.addTask { try await api.create("source \(number)") } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            let log = try await suite.events(.obsBridge)
            #expect(log.map(\.seq) == Array(1...100))
            #expect(Set(log.compactMap { $0["room"]?.string }) == ids)
            var heard: [String] = []
            for _ in 0..<100 { heard.append(try #require(try await client.next()["id"]?.string)) }
            #expect(heard == log.map { "msg-\($0["id"]?.string ?? "")" })
        }
    }

    @Test func `what was acknowledged survives a kill, and the log goes on where it was`() async throws {
        try await Suite.with([.auth, .obsBridge]) { suite in
            let client = try await suite.connect(0, "/")
            try await client.send(["action": "subscribe", "events": ["sources:*"]])
            _ = try await client.next { $0["event"] == "subscription:confirmed" }
            let api = SourcesClient(suite)
            let first = try await api.create("first")
            let acknowledged = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<60 {
                    // `try?`: no answer, no promise.
                    group.addTask { try? await api.create("source \(number)") }
                }
                // Kills in the midst of it: some have their answer by now.
                var ids = [first]
                if case .some(.some(let id)) = try await group.next() { ids.append(id) }
                try await suite.kill9(.obsBridge)
                for try await case let id? in group { ids.append(id) }
                return ids
            }
            try suite.start(.obsBridge)
            try await suite.waitUntilReady(.obsBridge)
            let before = try await suite.events(.obsBridge)
            #expect(before.map(\.seq) == Array(1...Int64(before.count)))
            let rooms = before.compactMap { $0["room"]?.string }
            #expect(Set(rooms).count == rooms.count && Set(acknowledged).isSubset(of: rooms))
            #expect(try await api.send("GET", "?limit=1000")["total"] == .integer(Int64(rooms.count)))

            let last = try await api.create("last")
            let log = try await suite.events(.obsBridge)
            #expect(Array(log.dropLast()) == before)
            #expect(log.last?["room"]?.string == last && log.last?.seq == Int64(before.count) + 1)
            // The same epoch: with another one the gateway would begin the log anew and say everything twice.
            var heard: [String] = []
            while heard.count < log.count { heard.append(try #require(try await client.next()["id"]?.string)) }
            #expect(heard == log.map { "msg-\($0["id"]?.string ?? "")" })
            try await client.send(["action": "ping"])
            #expect(try await client.next()["event"] == "pong")
        }
    }
}
