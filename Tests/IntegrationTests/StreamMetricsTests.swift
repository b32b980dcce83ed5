import Events
import TestSupport
import Testing

@Suite(.enabled(if: StreamsFixture.isAvailable, "needs Postgres and the built executables"))
struct StreamMetricsTests {
    @Test func `a WAVE client hears its stream from the start to the end`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let tenant = fixture.newTenant()
        let token = try await fixture.token(tenant, scope: "*")
        let stream = try await fixture.newStream(token)
        let client = try await fixture.wave(token)
        try await client.send(text: #"{"type":"subscribe","stream_id":"\#(stream)"}"#)
        #expect(try await client.next()["type"] == "subscribed")

        #expect(try await fixture.call("POST", "/v1/streams/\(stream)/start", token).status == 200)
        let started = try await client.next()
        #expect(started["type"] == "stream.started")
        #expect(started["payload"]?["stream_id"] == .string(stream))
        #expect(started["payload"]?["protocol"] == "webrtc")
        #expect(started["payload"]?["ingest_endpoint"] == .some(.null))

        try await client.send(text: #"{"type":"chat.message","stream_id":"\#(stream)","message":"hé \"you\" 🎬"}"#)
        let line = try await client.next()
        #expect(line["type"] == "chat.message")
        #expect(line["payload"]?["message"] == "hé \"you\" 🎬")
        let history = try await fixture.call("GET", "/v1/streams/\(stream)/chat", token)
        #expect(history.body["data"]?.array?.first == line["payload"])

        try await client.send(text: #"{"type":"reaction.sent","stream_id":"\#(stream)","reaction":"👍"}"#)
        let reaction = try await client.next()
        #expect(reaction["type"] == "reaction.received")
        #expect(reaction["payload"]?["count"] == 1)

        let joined = try await fixture.call(
            "POST", "/v1/streams/\(stream)/viewers", token, #"{"country":"DE","device":"tv"}"#)
        #expect(joined.status == 201)
        let viewer = try await client.next()
        #expect(viewer["type"] == "viewer.joined")
        #expect(viewer["payload"]?["viewer_id"] == joined.body["viewer_id"])

        #expect(try await fixture.call("POST", "/api/v1/streams/\(stream)/stop", token).status == 200)
        #expect(try await client.next()["type"] == "viewer.left")
        let ended = try await client.next()
        #expect(ended["type"] == "stream.ended")
        #expect(ended["payload"]?["recording_id"] == .some(.null))

        try await client.send(text: #"{"type":"chat.message","stream_id":"\#(stream)","message":"too late"}"#)
        #expect(try await client.next()["type"] == "error")
    }

    @Test func `an emoji is announced at most four times a second, and the last count always`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let token = try await fixture.token(fixture.newTenant(), scope: "*")
        let stream = try await fixture.newStream(token)
        #expect(try await fixture.call("POST", "/v1/streams/\(stream)/start", token).status == 200)
        let client = try await fixture.wave(token)
        try await client.send(text: #"{"type":"subscribe","stream_id":"\#(stream)","events":["reaction.received"]}"#)
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

    @Test func `an Astro client hears an activity, its replay, and whether its channel is live`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let tenant = fixture.newTenant()
        let token = try await fixture.token(tenant, scope: "*")
        let client = try await fixture.astro()
        for topic in ["channel.activities", "channel.stream.status"] {
            try await client.send(
                text:
                    #"{"type":"subscribe","nonce":"n","data":{"topic":"\#(topic)","token":"\#(token)","token_type":"jwt"}}"#
            )
            #expect(try await client.next()["data"]?["room"] == .string(tenant))
        }
        let body = #"{"type":"tip","provider":"twitch","data":{"username":"bob","amount":5}}"#
        let created = try await fixture.call("POST", "/kappa/v2/activities/me", token, body)
        #expect(created.status == 201)
        #expect(created.body["sessionEventsCount"] == 1)
        let message = try await client.next()
        #expect(message["topic"] == "channel.activities")
        #expect(message["room"] == .string(tenant))
        #expect(message["data"] == created.body)
        let id = try #require(created.body["_id"]?.string)
        #expect(try await fixture.call("POST", "/kappa/v2/activities/\(tenant)/\(id)/replay", token).status == 200)
        #expect(try await client.next()["data"] == created.body)
        #expect(try await fixture.call("GET", "/kappa/v2/activities/me?limit=5", token).body == [created.body])

        let (first, second) = (try await fixture.newStream(token), try await fixture.newStream(token))
        for step in ["\(first)/start", "\(second)/start", "\(first)/stop", "\(second)/stop"] {
            #expect(try await fixture.call("POST", "/v1/streams/\(step)", token).status == 200)
        }
        #expect(try await client.next()["data"] == ["isLive": true])
        #expect(try await client.next()["data"] == ["isLive": false])
    }

    @Test func `what a state does not allow is a conflict, and changes nothing`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let token = try await fixture.token(fixture.newTenant(), scope: "*")
        let stream = try await fixture.newStream(token)
        func call(_ method: String, _ path: String, _ body: String? = nil) async throws -> Int {
            try await fixture.call(method, "/v1/streams/\(stream)\(path)", token, body).status
        }
        #expect(try await call("POST", "/stop") == 409)
        #expect(try await call("POST", "/viewers") == 409)
        #expect(try await call("PATCH", "", #"{"title":"New"}"#) == 200)
        #expect(try await call("POST", "/start") == 200)
        let live = try await fixture.call("GET", "/v1/streams/\(stream)", token).body
        #expect(live["title"] == "New")
        #expect(live["recording"]?["enabled"] == true)
        #expect(live["status"] == "live")
        #expect(try await call("POST", "/start") == 409)
        #expect(try await call("PATCH", "", #"{"title":"Other"}"#) == 409)
        #expect(try await call("DELETE", "") == 409)
        #expect(try await fixture.call("GET", "/v1/streams/\(stream)", token).body == live)
        #expect(try await call("POST", "/stop") == 200)
        #expect(try await call("POST", "/stop") == 409)
        #expect(try await call("POST", "/start") == 409)
        #expect(try await call("DELETE", "") == 204)
        #expect(try await call("GET", "") == 404)
    }

    @Test(arguments: [
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
    ])
    func `a bad request gets its status in the API's own words`(
        method: String, path: String, body: String?, status: Int, code: String
    ) async throws {
        let fixture = try await StreamsFixture.shared.value
        let answer = try await fixture.call(
            method, path, try await fixture.token(fixture.newTenant(), scope: "*"), body)
        #expect(answer.status == status)
        if path.hasPrefix("/kappa") {
            #expect(answer.body["error"] == .string(code))
            #expect(answer.body["statusCode"] == .integer(Int64(status)))
        } else {
            #expect(answer.body["error"]?["code"] == .string(code))
        }
    }

    @Test func `a credential needs the scope, and sees its own tenant only`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let tenant = fixture.newTenant()
        let owner = try await fixture.token(tenant, scope: "*")
        let stream = try await fixture.newStream(owner)
        #expect(try await fixture.call("GET", "/v1/streams", nil).status == 401)
        #expect(try await fixture.call("GET", "/kappa/v2/channels/me", "nonsense").body["statusCode"] == 401)
        let reader = try await fixture.token(tenant, scope: "streams:read")
        #expect(try await fixture.call("GET", "/v1/streams/\(stream)", reader).status == 200)
        let refused = try await fixture.call("POST", "/v1/streams/\(stream)/start", reader)
        #expect(refused.status == 403)
        #expect(refused.body["error"]?["code"] == "FORBIDDEN")
        #expect(try await fixture.call("POST", "/kappa/v2/activities/me", reader, "{}").status == 403)

        let stranger = try await fixture.token(fixture.newTenant(), scope: "*")
        for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/start"), ("GET", "/chat"), ("POST", "/viewers")]
        {
            #expect(try await fixture.call(method, "/v1/streams/\(stream)\(path)", stranger).status == 404)
        }
        #expect(try await fixture.call("GET", "/v1/streams", stranger).body["data"] == [])
        #expect(try await fixture.call("GET", "/kappa/v2/activities/\(tenant)", stranger).status == 403)
    }

    @Test func `lists come page by page, each entry once`() async throws {
        let fixture = try await StreamsFixture.shared.value
        let token = try await fixture.token(fixture.newTenant(), scope: "*")
        var made: Set<String> = []
        for _ in 0..<5 { made.insert(try await fixture.newStream(token)) }
        var (seen, cursor): ([String], String?) = ([], nil)
        repeat {
            let page = try await fixture.call(
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

extension WebSocketClient {
    fileprivate func next() async throws -> JSON {
        try #require(JSON(parsing: Array(try await self.nextText().utf8)))
    }
}
