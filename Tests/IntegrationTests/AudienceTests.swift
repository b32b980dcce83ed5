import Events
import TestSupport
import Testing

/// Who watches a stream, and what moderators decide on its chat.
@Suite("Audience", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AudienceTests {
    @Test func `viewers are counted, told every ten seconds and reported`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let streams = try await StreamsClient(suite)
            let stream = try await streams.create()
            let client = try await suite.connect(2, "/v1/streams?api_key=\(streams.token)")
            try await client.send(
                text: #"{"type":"subscribe","stream_id":"\#(stream)","events":["analytics.update","stream.ended"]}"#)
            _ = try await client.next()
            try await streams.succeed("POST", "/\(stream)/start")
            var viewers: [String] = []
            for body in [#"{"country":"DE","device":"tv"}"#, #"{"country":"DE"}"#, "{}"] {
                let answer = try await streams.succeed("POST", "/\(stream)/viewers", body)
                viewers.append(try #require(answer["viewer_id"]?.string))
            }
            try await streams.succeed("DELETE", "/\(stream)/viewers/\(viewers[0])")
            try await streams.succeed("POST", "/\(stream)/viewers", "{}")
            try await streams.succeed("DELETE", "/\(stream)/viewers/\(viewers[1])")

            let update = try await client.next(within: .seconds(20))
            #expect(update["type"] == "analytics.update")
            let payload = try #require(update["payload"])
            #expect(payload["concurrent_viewers"] == 2)
            #expect(payload["total_views"] == 4)
            #expect(payload["peak_viewers"] == 3)
            // Two have watched for some ten seconds, two for none.
            let average = try #require(payload["average_watch_time"]?.double)
            #expect(average > 3 && average < 12)

            try await streams.succeed("POST", "/\(stream)/stop")
            #expect(try await client.next()["type"] == "stream.ended")
            let report = try await streams.succeed("GET", "/\(stream)/analytics")
            #expect(report["metrics"]?["total_views"] == 4)
            #expect(report["metrics"]?["peak_concurrent_viewers"] == 3)
            let minutes = try #require(report["metrics"]?["total_minutes_watched"]?.double)
            #expect(minutes > 0.25 && minutes < 1)
            let countries = try #require(report["by_country"]?.array)
            #expect(countries.map { $0["country"] } == ["DE", .some(.null)])
            #expect(countries.map { $0["views"] } == [2, 2])
            let devices = try #require(report["by_device"]?.array)
            #expect(devices.first?["device"] == "other" && devices.first?["views"] == 3)
            #expect(devices.last?["device"] == "tv" && devices.last?["views"] == 1)

            let before = try await streams.succeed("GET", "/\(stream)/analytics?start=1000&end=2000")
            #expect(before["metrics"]?["total_views"] == 0 && before["by_device"] == [])
            #expect(try await streams.call("GET", "/\(stream)/analytics?start=2000&end=1000").status == 400)
            #expect(try await streams.call("GET", "/\(stream)/analytics?start=yesterday").status == 400)
        }
    }

    @Test func `a plan allows so many live streams`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let streams = try await StreamsClient(suite, tier: "free")
            var ids: [String] = []
            for _ in 0..<11 { ids.append(try await streams.create()) }
            for id in ids.prefix(10) { try await streams.succeed("POST", "/\(id)/start") }
            let refused = try await streams.call("POST", "/\(ids[10])/start")
            #expect(refused.status == 402)
            #expect(refused.body["error"]?["code"] == "QUOTA_EXCEEDED")
            #expect(try await streams.succeed("GET", "/\(ids[10])")["status"] == "idle")
            try await streams.succeed("POST", "/\(ids[0])/stop")
            try await streams.succeed("POST", "/\(ids[10])/start")
        }
    }

    @Test func `a plan allows so many requests, and each answer says what is left`() async throws {
        try await Suite.with([.auth, .streamMetrics], gateways: 0) { suite in
            let streams = try await StreamsClient(suite, tier: "free")
            func ask(_ path: String) async throws -> HTTPClient.Answer {
                try await HTTPClient.request(
                    "GET", port: suite.port(.streamMetrics), path: path,
                    headers: [("Authorization", "Bearer \(streams.token)")])
            }
            let first = try await ask("/v1/streams")
            #expect(first.headers["x-ratelimit-limit"] == "60" && first.headers["x-ratelimit-window"] == "60")
            #expect(first.headers["x-ratelimit-remaining"] == "119")
            // A failure counts too, and so does the other prefix.
            let second = try await ask("/api/v1/streams/none")
            #expect(second.status == 404 && second.headers["x-ratelimit-remaining"].flatMap { Int($0) } ?? 0 <= 119)
            var last = second
            for _ in 0..<400 where last.status != 429 { last = try await ask("/v1/streams") }
            #expect(last.status == 429 && last.headers["retry-after"] == "1")
            #expect(JSON(parsing: last.body)?["error"]?["code"] == "RATE_LIMITED")
            // Another credential of the same tenant has its own.
            let other = try await suite.token(tenant: streams.tenant, scope: "*", tier: "free")
            #expect(try await StreamsClient(suite, token: other).call("GET", "").status == 200)
        }
    }

    @Test func `a stream that nobody measures has a health of nulls`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let streams = try await StreamsClient(suite)
            let stream = try await streams.create()
            let health = try await streams.succeed("GET", "/\(stream)/health")
            #expect(health["stream_id"] == .string(stream) && health["status"] == "idle")
            #expect(health["bitrate"] == .some(.null) && health["timestamp"] == .some(.null))
        }
    }

    @Test func `a blocked line is in the history for moderators only`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let streams = try await StreamsClient(suite)
            let stream = try await streams.create()
            let client = try await suite.connect(2, "/v1/streams?api_key=\(streams.token)")
            try await client.send(
                text: #"{"type":"subscribe","stream_id":"\#(stream)","events":["chat.message"]}"#)
            _ = try await client.next()
            var lines: [String] = []
            for text in ["one", "two", "three"] {
                try await client.send(text: #"{"type":"chat.message","stream_id":"\#(stream)","message":"\#(text)"}"#)
                lines.append(try #require(try await client.next()["payload"]?["message_id"]?.string))
            }
            func texts(_ query: String = "") async throws -> [String] {
                let page = try await streams.succeed("GET", "/\(stream)/chat\(query)")
                return page["data"]?.array?.compactMap { $0["message"]?.string } ?? []
            }
            func moderate(_ line: String, _ body: String) async throws -> (status: Int, body: JSON) {
                try await streams.call("POST", "/\(stream)/chat/\(line)/moderate", body)
            }
            let decision = try await moderate(lines[1], #"{"action":"block","reason":"spam"}"#)
            #expect(decision.status == 200)
            #expect(decision.body["moderation"] == "blocked" && decision.body["reason"] == "spam")
            #expect(try await moderate(lines[0], #"{"action":"flag"}"#).status == 200)
            #expect(try await texts() == ["three", "one"])
            #expect(try await texts("?moderation=blocked") == ["two"])
            #expect(try await texts("?moderation=flagged") == ["one"])
            #expect(try await texts("?limit=1&before=\(lines[2])") == ["one"])
            let blocked = try await streams.succeed("GET", "/\(stream)/chat?moderation=blocked")
            #expect(blocked["data"]?.array?.first?["moderation"]?["reason"] == "spam")
            #expect(try await moderate(lines[1], #"{"action":"allow"}"#).status == 200)
            #expect(try await texts() == ["three", "two", "one"])

            #expect(try await moderate(lines[1], #"{"action":"delete"}"#).status == 400)
            for line in ["msg_01m7z44725ek86gj77ygxb558a", "nothing", "msg_%00"] {
                #expect(try await moderate(line, #"{"action":"block"}"#).status == 404, "\(line)")
            }
            let reader = StreamsClient(
                suite, token: try await suite.token(tenant: streams.tenant, scope: "streams:read"))
            #expect(
                try await reader.call("POST", "/\(stream)/chat/\(lines[0])/moderate", #"{"action":"block"}"#).status
                    == 403)
            #expect(try await reader.call("GET", "/\(stream)/chat?moderation=blocked").status == 403)
            #expect(try await reader.call("GET", "/\(stream)/analytics").status == 403)
            let stranger = try await StreamsClient(suite)
            #expect(
                try await stranger.call("POST", "/\(stream)/chat/\(lines[0])/moderate", #"{"action":"block"}"#).status
                    == 404)
            #expect(try await stranger.call("GET", "/\(stream)/health").status == 404)
        }
    }
}
