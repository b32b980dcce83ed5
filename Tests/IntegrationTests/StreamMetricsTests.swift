import Events
import TestSupport
import Testing

/// stream-metrics over its API, and through a gateway to WAVE and Astro clients.
@Suite("Stream metrics", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct StreamMetricsTests {
    @Test func `a WAVE client hears its stream from the start to the end`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let tenant = Suite.newTenant()
            let token = try await suite.token(tenant: tenant, scope: "*")
            let stream = try await suite.newStream(token)
            let client = try await suite.wave(token)
            try await client.send(text: #"{"type":"subscribe","stream_id":"\#(stream)"}"#)
            #expect(try await client.next()["type"] == "subscribed")

            #expect(try await suite.call("POST", "/v1/streams/\(stream)/start", token).status == 200)
            let started = try await client.next()
            #expect(started["type"] == "stream.started")
            #expect(started["payload"]?["stream_id"] == .string(stream))
            #expect(started["payload"]?["protocol"] == "webrtc")
            #expect(started["payload"]?["ingest_endpoint"] == .some(.null))

            try await client.send(text: #"{"type":"chat.message","stream_id":"\#(stream)","message":"hé \"you\" 🎬"}"#)
            let line = try await client.next()
            #expect(line["type"] == "chat.message")
            #expect(line["payload"]?["message"] == "hé \"you\" 🎬")
            let history = try await suite.call("GET", "/v1/streams/\(stream)/chat", token)
            #expect(history.body["data"]?.array?.first == line["payload"])

            try await client.send(text: #"{"type":"reaction.sent","stream_id":"\#(stream)","reaction":"👍"}"#)
            let reaction = try await client.next()
            #expect(reaction["type"] == "reaction.received")
            #expect(reaction["payload"]?["count"] == 1)

            let joined = try await suite.call(
                "POST", "/v1/streams/\(stream)/viewers", token, #"{"country":"DE","device":"tv"}"#)
            #expect(joined.status == 201)
            let viewer = try await client.next()
            #expect(viewer["type"] == "viewer.joined")
            #expect(viewer["payload"]?["viewer_id"] == joined.body["viewer_id"])

            #expect(try await suite.call("POST", "/api/v1/streams/\(stream)/stop", token).status == 200)
            #expect(try await client.next()["type"] == "viewer.left")
            let ended = try await client.next()
            #expect(ended["type"] == "stream.ended")
            #expect(ended["payload"]?["recording_id"] == .some(.null))

            try await client.send(text: #"{"type":"chat.message","stream_id":"\#(stream)","message":"too late"}"#)
            #expect(try await client.next()["type"] == "error")
        }
    }

    @Test func `an emoji is announced at most four times a second, and the last count always`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let token = try await suite.token(tenant: Suite.newTenant(), scope: "*")
            let stream = try await suite.newStream(token)
            #expect(try await suite.call("POST", "/v1/streams/\(stream)/start", token).status == 200)
            let client = try await suite.wave(token)
            try await client.send(
                text: #"{"type":"subscribe","stream_id":"\#(stream)","events":["reaction.received"]}"#)
            _ = try await client.next()
            let begin = ContinuousClock.now
            for _ in 0..<20 {
                try await client.send(text: #"{"type":"reaction.sent","stream_id":"\#(stream)","reaction":"🔥"}"#)
            }
            var announcements = 0
            while true {
                announcements += 1
                if try await client.next()["payload"]?["count"] == 20 { break }
            }
            let quarters = Int((ContinuousClock.now - begin) / .milliseconds(250))
            #expect(announcements <= quarters + 2)
        }
    }

    @Test func `an Astro client hears an activity, its replay, and whether its channel is live`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let tenant = Suite.newTenant()
            let token = try await suite.token(tenant: tenant, scope: "*")
            let client = try await suite.astro()
            for topic in ["channel.activities", "channel.stream.status"] {
                try await client.send(
                    text:
                        #"{"type":"subscribe","nonce":"n","data":{"topic":"\#(topic)","token":"\#(token)","token_type":"jwt"}}"#
                )
                #expect(try await client.next()["data"]?["room"] == .string(tenant))
            }
            let body = #"{"type":"tip","provider":"twitch","data":{"username":"bob","amount":5}}"#
            let created = try await suite.call("POST", "/kappa/v2/activities/me", token, body)
            #expect(created.status == 201)
            #expect(created.body["sessionEventsCount"] == 1)
            let message = try await client.next()
            #expect(message["topic"] == "channel.activities")
            #expect(message["room"] == .string(tenant))
            #expect(message["data"] == created.body)
            let id = try #require(created.body["_id"]?.string)
            #expect(try await suite.call("POST", "/kappa/v2/activities/\(tenant)/\(id)/replay", token).status == 200)
            #expect(try await client.next()["data"] == created.body)
            #expect(try await suite.call("GET", "/kappa/v2/activities/me?limit=5", token).body == [created.body])

            let (first, second) = (try await suite.newStream(token), try await suite.newStream(token))
            for step in ["\(first)/start", "\(second)/start", "\(first)/stop", "\(second)/stop"] {
                #expect(try await suite.call("POST", "/v1/streams/\(step)", token).status == 200)
            }
            #expect(try await client.next()["data"] == ["isLive": true])
            #expect(try await client.next()["data"] == ["isLive": false])
        }
    }

    @Test func `what a state does not allow is a conflict, and changes nothing`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let token = try await suite.token(tenant: Suite.newTenant(), scope: "*")
            let stream = try await suite.newStream(token)
            func call(_ method: String, _ path: String, _ body: String? = nil) async throws -> Int {
                try await suite.call(method, "/v1/streams/\(stream)\(path)", token, body).status
            }
            #expect(try await call("POST", "/stop") == 409)
            #expect(try await call("POST", "/viewers") == 409)
            #expect(try await call("PATCH", "", #"{"title":"New"}"#) == 200)
            #expect(try await call("POST", "/start") == 200)
            let live = try await suite.call("GET", "/v1/streams/\(stream)", token).body
            #expect(live["title"] == "New")
            #expect(live["recording"]?["enabled"] == true)
            #expect(live["status"] == "live")
            #expect(try await call("POST", "/start") == 409)
            #expect(try await call("PATCH", "", #"{"title":"Other"}"#) == 409)
            #expect(try await call("DELETE", "") == 409)
            #expect(try await suite.call("GET", "/v1/streams/\(stream)", token).body == live)
            #expect(try await call("POST", "/stop") == 200)
            #expect(try await call("POST", "/stop") == 409)
            #expect(try await call("POST", "/start") == 409)
            #expect(try await call("DELETE", "") == 204)
            #expect(try await call("GET", "") == 404)
        }
    }

    private static let refusals: [(method: String, path: String, body: String?, status: Int, code: String)] = [
        ("POST", "/v1/streams", #"{"title":"","protocol":"rtmp"}"#, 400, "VALIDATION_ERROR"),
        ("POST", "/v1/streams", #"{"title":"a\u0000","protocol":"rtmp"}"#, 400, "VALIDATION_ERROR"),
        ("POST", "/api/v1/streams", "[", 400, "VALIDATION_ERROR"),
        ("GET", "/v1/streams?limit=101", nil, 400, "VALIDATION_ERROR"),
        ("GET", "/v1/streams?cursor=%00", nil, 400, "VALIDATION_ERROR"),
        ("GET", "/v1/streams/stream_%00", nil, 404, "NOT_FOUND"),
        ("GET", "/v1/streams/stream_01m7z44725ek86gj77ygxb558a/health", nil, 404, "NOT_FOUND"),
        ("POST", "/v1/streams/stream_01m7z44725ek86gj77ygxb558a/start", nil, 404, "NOT_FOUND"),
        (
            "POST", "/kappa/v2/activities/me", #"{"type":"nothing","provider":"twitch","data":{"username":"b"}}"#, 400,
            "Bad Request"
        ),
        ("GET", "/kappa/v2/activities/me?offset=-1", nil, 400, "Bad Request"),
        ("GET", "/kappa/v2/activities/another", nil, 403, "Forbidden"),
        ("GET", "/kappa/v2/activities/me/nothing", nil, 404, "Not Found"),
    ]

    @Test func `a bad request gets its status in the API's own words`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let token = try await suite.token(tenant: Suite.newTenant(), scope: "*")
            for (method, path, body, status, code) in Self.refusals {
                let answer = try await suite.call(method, path, token, body)
                #expect(answer.status == status, "\(method) \(path)")
                if path.hasPrefix("/kappa") {
                    #expect(answer.body["error"] == .string(code), "\(method) \(path)")
                    #expect(answer.body["statusCode"] == .integer(Int64(status)), "\(method) \(path)")
                } else {
                    #expect(answer.body["error"]?["code"] == .string(code), "\(method) \(path)")
                }
            }
        }
    }

    @Test func `a credential needs the scope, and sees its own tenant only`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let tenant = Suite.newTenant()
            let owner = try await suite.token(tenant: tenant, scope: "*")
            let stream = try await suite.newStream(owner)
            #expect(try await suite.call("GET", "/v1/streams", nil).status == 401)
            #expect(try await suite.call("GET", "/kappa/v2/channels/me", "nonsense").body["statusCode"] == 401)
            let reader = try await suite.token(tenant: tenant, scope: "streams:read")
            #expect(try await suite.call("GET", "/v1/streams/\(stream)", reader).status == 200)
            let refused = try await suite.call("POST", "/v1/streams/\(stream)/start", reader)
            #expect(refused.status == 403)
            #expect(refused.body["error"]?["code"] == "FORBIDDEN")
            #expect(try await suite.call("POST", "/kappa/v2/activities/me", reader, "{}").status == 403)

            let stranger = try await suite.token(tenant: Suite.newTenant(), scope: "*")
            for (method, path) in [
                ("GET", ""), ("DELETE", ""), ("POST", "/start"), ("GET", "/chat"), ("POST", "/viewers"),
            ] {
                #expect(try await suite.call(method, "/v1/streams/\(stream)\(path)", stranger).status == 404)
            }
            #expect(try await suite.call("GET", "/v1/streams", stranger).body["data"] == [])
            #expect(try await suite.call("GET", "/kappa/v2/activities/\(tenant)", stranger).status == 403)
        }
    }

    @Test func `lists come page by page, each entry once`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let token = try await suite.token(tenant: Suite.newTenant(), scope: "*")
            var made: Set<String> = []
            for _ in 0..<5 { made.insert(try await suite.newStream(token)) }
            var (seen, cursor): ([String], String?) = ([], nil)
            repeat {
                let page = try await suite.call(
                    "GET", "/v1/streams?limit=2" + (cursor.map { "&cursor=\($0)" } ?? ""), token
                ).body
                seen += page["data"]?.array?.compactMap { $0["id"]?.string } ?? []
                cursor = page["pagination"]?["next_cursor"]?.string
                #expect(page["pagination"]?["has_more"] == .bool(cursor != nil))
            } while cursor != nil && seen.count < 10
            #expect(seen.count == 5)
            #expect(Set(seen) == made)
        }
    }
}

extension Suite {
    fileprivate static func newTenant() -> String { "tenant-\(ULID().text.lowercased())" }

    /// The id of a stream that was just made.
    fileprivate func newStream(_ token: String) async throws -> String {
        let body = #"{"title":"Show","protocol":"webrtc","recording":{"enabled":true}}"#
        return try #require(try await self.call("POST", "/v1/streams", token, body)["id"]?.string)
    }

    /// A request to stream-metrics with a body that may be malformed.
    fileprivate func call(
        _ method: String, _ path: String, _ token: String?, _ body: String? = nil
    ) async throws -> Answer {
        var headers = token.map { [("Authorization", "Bearer \($0)")] } ?? []
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let answer = try await HTTPClient.request(
            method, port: self.port(.streamMetrics), path: path, headers: headers, body: Array((body ?? "").utf8))
        return Answer(status: answer.status, headers: answer.headers, body: JSON(parsing: answer.body) ?? .null)
    }

    fileprivate func wave(_ token: String) async throws -> WebSocketClient {
        try await self.connect(2, "/v1/streams?api_key=\(token)")
    }

    /// Connected, its welcome read.
    fileprivate func astro() async throws -> WebSocketClient {
        let client = try await self.connect(1, "/")
        _ = try await client.next()
        return client
    }
}
