import Events
import Testing

@testable import Dialects

@Suite struct AstroTests {
    private let dialect = Astro()

    @Test func `every connection opens; credentials come later`() {
        #expect(
            self.dialect.admit(UpgradeRequest(path: "/", remoteAddress: "203.0.113.7", isLocal: false)) == .open(nil)
        )
    }

    @Test func `a message has all fields, and its room is the event's or the channel`() {
        let keys: Set<String> = [filterKey("channel.tips", "acme"), filterKey("performance.update", "acme")]
        for type in ["channel.tips", "performance.update"] {
            let event = Event.sample(EventType(type))
            let expected: JSON = [
                "id": .string(event.id.text), "ts": "2024-01-15T16:30:00Z", "type": "message", "topic": .string(type),
                "room": "acme", "data": ["a": 1],
            ]
            #expect(delivered(self.dialect.project(event), holding: keys) == [expected])
        }
    }

    @Test func `a station's event is found by its station and by the channel, never by another station`() {
        let projections = self.dialect.project(.sample("radio.now_playing", room: "s\"1"))
        #expect(
            delivered(projections, holding: [filterKey("radio.now_playing", "s\"1")]).map { $0["room"] } == ["s\"1"])
        #expect(
            delivered(projections, holding: [filterKey("radio.now_playing", "acme")]).map { $0["room"] } == ["s\"1"])
        #expect(delivered(projections, holding: [filterKey("radio.now_playing", "s2")]).isEmpty)
    }

    @Test func `a topic does not answer to the topics below it`() {
        let projections = self.dialect.project(.sample("channel.tips.moderation"))
        #expect(delivered(projections, holding: [filterKey("channel.tips", "acme")]).isEmpty)
    }

    @Test func `the limits are the contract's`() {
        let profile = self.dialect.profile
        #expect(profile.messageRate == RateLimit(burst: 100, perSecond: 10))
        #expect(profile.silenceMax == .seconds(70))
        #expect(profile.silenceClose?.code == 1008)
        #expect(profile.drainRefusal.status == 502)
        #expect(profile.attemptRefusal.status == 429)
        #expect(profile.attemptRefusal.headers["Retry-After"] == "2")
    }
}

@Suite struct AstroSessionTests {
    private let session = Conversation(Astro())
    private let channel = Principal.user(tenant: "YOUR_CHANNEL_ID")

    private func subscribe(
        _ topic: String = "channel.tips", room: String? = nil, as principal: Principal? = nil, nonce: String = "n1",
        at now: Timestamp = .noon
    ) -> [SessionAction] {
        var data: [String: JSON] = ["topic": .string(topic), "token": "t", "token_type": "jwt"]
        data["room"] = room.map(JSON.string)
        _ = self.session.receive(["type": "subscribe", "nonce": .string(nonce), "data": .object(data)], at: now)
        return self.session.verified(.success(principal ?? self.channel), at: now)
    }

    @Test func `the welcome comes at once`() {
        let frame = self.session.opened().frames.first
        #expect(frame?["type"] == "welcome")
        #expect(frame?["ts"] == "2024-01-15T16:30:00Z")
        #expect(ULID(text: frame?["id"]?.string ?? "") != nil)
        #expect(ULID(text: frame?["data"]?["client_id"]?.string ?? "") != nil)
        #expect(frame?["data"]?["message"]?.string != nil)
    }

    @Test(arguments: ["", "x", "a.b.c"])
    func `a reconnect token that is good for nothing is answered with a close and no welcome`(token: String) {
        let session = Conversation(Astro(), query: [("reconnect_token", token)])
        #expect(session.opened() == [.resume(token)])
        #expect(session.resumed(nil) == [.close(Closing(1008, "invalid reconnect token"))])
    }

    /// What a draining gateway is asked to hand over.
    private func handOver(_ actions: [SessionAction]) -> HandOver? {
        actions.compactMap { if case .handOver(let handOver) = $0 { handOver } else { nil } }.first
    }

    @Test func `a session goes on at another gateway: the same client, its subscriptions, no answers`() throws {
        let welcome = try #require(self.session.opened().frames.first)
        let guest = Principal.user(tenant: "other", expires: .noon + .seconds(60), id: "guest")
        _ = self.subscribe("channel.tips")
        _ = self.subscribe("channel.activities", as: guest)
        let handOver = try #require(self.handOver(self.session.drain()))
        #expect(Set(handOver.principals) == [self.channel, guest])
        let told = self.session.handedOver("the token")
        #expect(told.frames.first?["type"] == "reconnect")
        #expect(told.frames.first?["data"]?["reconnect_token"] == "the token")
        #expect(told.closing == nil)

        // Through a token, as bytes.
        let received = try JSON.decode(HandOver.self, from: JSON.encode(handOver))
        let next = Conversation(Astro(), query: [("reconnect_token", "the token")])
        #expect(next.opened() == [.resume("the token")])
        let actions = next.resumed(received)
        #expect(actions.frames.map { $0["type"] } == ["welcome"])
        #expect(actions.frames.first?["data"]?["client_id"] == welcome["data"]?["client_id"])
        #expect(
            actions.dropFirst() == [
                .subscribe([filterKey("channel.activities", "other")], as: guest),
                .subscribe([filterKey("channel.tips", self.channel.tenant)], as: self.channel),
                .wake(at: .noon + .seconds(60)),
            ])
        // What it was handed over with ends as it would have.
        #expect(next.wake(at: .noon + .seconds(60)).frames.first?["error"] == "err_unauthorized")
    }

    @Test func `a subscription that is being verified is handed over too, a later one is refused`() throws {
        _ = self.session.opened()
        let message: JSON = [
            "type": "subscribe", "data": ["topic": "channel.tips", "token": "t", "token_type": "jwt"],
        ]
        _ = self.session.receive(message)
        #expect(self.session.drain().isEmpty)
        let actions = self.session.verified(.success(self.channel))
        #expect(actions.frames.first?["error"] == nil)
        #expect(self.handOver(actions)?.principals == [self.channel])
        #expect(self.session.receive(message).frames.first?["error"] == "err_internal_error")
        #expect(
            self.session.receive(#"{"type":"unsubscribe","data":{"topic":"channel.tips"}}"#).frames.first?["error"]
                == "err_internal_error")
    }

    @Test func `a session that is handed over while it resumes is so once it has resumed`() throws {
        _ = self.session.opened()
        _ = self.subscribe("channel.tips")
        let handOver = try #require(self.handOver(self.session.drain()))
        let next = Conversation(Astro(), query: [("reconnect_token", "x")])
        _ = next.opened()
        #expect(next.drain().isEmpty)
        #expect(self.handOver(next.resumed(handOver)) == handOver)
    }

    @Test(arguments: [
        #"{}"#, #"{"client_id":1,"subs":[]}"#, #"{"client_id":"c"}"#,
        #"{"client_id":"c","subs":[["channel.tips","r",1]]}"#,
        #"{"client_id":"c","subs":[["channel.tips","r"]]}"#, #"{"client_id":"c","subs":[["channel.tips","r",-1]]}"#,
    ])
    func `what no session has handed over is worth nothing`(session: String) throws {
        let value = HandOver(principals: [self.channel], session: try #require(JSON(parsing: Array(session.utf8))))
        let next = Conversation(Astro(), query: [("reconnect_token", "x")])
        _ = next.opened()
        #expect(next.resumed(value) == [.close(Closing(1008, "invalid reconnect token"))])
    }

    @Test func `without a token to give, a shutdown closes with 1001, and so does the end of the drain`() {
        _ = self.session.opened()
        _ = self.session.drain()
        #expect(self.session.handedOver(nil).closing?.code == 1001)
        #expect(self.session.drainEnded().closing?.code == 1001)
    }

    @Test(arguments: [
        (#"{"a":1, "b":[]}"#, #"{"a":1, "b":[],"session":{"a":1, "b":[]}}"#), ("{}", #"{"session":{}}"#),
        (#"{"session":{"x":1}}"#, #"{"session":{"x":1}}"#),
    ])
    func `a session reset is said both ways`(data: String, said: String) throws {
        var event = Event.sample("channel.session.reset")
        event.data = Array(data.utf8)
        let frame = try #require(Astro().project(event).first).render()
        #expect(String(decoding: frame, as: UTF8.self).hasSuffix(",\"data\":\(said)}"))
    }

    @Test(arguments: [
        ("subscribe", CredentialKind.jwt, "YOUR_JWT_TOKEN"), ("subscribe-oauth2", .oauth2, "YOUR_OAUTH2_TOKEN"),
    ])
    func `the documented subscribe is verified, then confirmed before the first message`(
        name: String, kind: CredentialKind, token: String
    ) throws {
        let message = try fixtureJSON(.astro, name)
        let asked = self.session.receive(try fixture(.astro, name))
        #expect(asked == [.wake(at: .noon + .seconds(5)), .verify(Credential(token, kind: kind))])
        let actions = self.session.verified(.success(self.channel))
        let frame = try #require(actions.first?.frame)
        #expect(frame["type"] == "response")
        #expect(frame["nonce"] == message["nonce"])
        #expect(frame["error"] == nil)
        #expect(
            frame["data"] == [
                "message": "successfully subscribed to topic", "topic": "channel.activities", "room": "YOUR_CHANNEL_ID",
            ])
        #expect(
            actions.dropFirst() == [.subscribe([filterKey("channel.activities", "YOUR_CHANNEL_ID")], as: self.channel)])
    }

    @Test(arguments: [("oauth", CredentialKind.oauth2), ("oauth2", .oauth2), ("apikey", .apiKey), ("jwt", .jwt)])
    func `each token type is a kind of credential`(name: String, kind: CredentialKind) {
        let data: JSON = ["topic": "channel.tips", "token": "t", "token_type": .string(name)]
        #expect(self.session.receive(["type": "subscribe", "data": data]).last == .verify(Credential("t", kind: kind)))
    }

    @Test(arguments: ["unsubscribe", "unsubscribe-all"])
    func `the documented unsubscribe drops the room`(name: String) throws {
        _ = self.subscribe("channel.activities")
        let message = try fixtureJSON(.astro, name)
        let actions = self.session.receive(try fixture(.astro, name))
        let key = filterKey("channel.activities", "YOUR_CHANNEL_ID")
        #expect(actions.first == .unsubscribe([key], tenant: "YOUR_CHANNEL_ID"))
        let frame = try #require(actions.last?.frame)
        #expect(frame["nonce"] == message["nonce"])
        #expect(frame["error"] == nil)
        #expect(
            frame["data"] == [
                "message": "successfully unsubscribed from topic", "topic": "channel.activities",
                "room": message["data"]?["room"] ?? "",
            ])
        #expect(self.session.receive(try fixture(.astro, name)).count == 1)
    }

    @Test func `without a room every room of the topic goes, and no other topic`() {
        _ = self.subscribe("radio.health", room: "s1")
        _ = self.subscribe("radio.health", room: "s2")
        _ = self.subscribe("radio.now_playing", room: "s1")
        let actions = self.session.receive(["type": "unsubscribe", "data": ["topic": "radio.health", "room": ""]])
        #expect(
            actions.dropLast() == [
                .unsubscribe([filterKey("radio.health", "s1")], tenant: "YOUR_CHANNEL_ID"),
                .unsubscribe([filterKey("radio.health", "s2")], tenant: "YOUR_CHANNEL_ID"),
            ])
    }

    @Test(
        arguments: [
            ("channel.tips", nil, "YOUR_CHANNEL_ID"), ("channel.tips", "", "YOUR_CHANNEL_ID"),
            ("channel.tips", "YOUR_CHANNEL_ID", "YOUR_CHANNEL_ID"),
            ("performance.update", "other", nil),
            ("performance.update", nil, "YOUR_CHANNEL_ID"),
            ("radio.now_playing", "s1", "s1"), ("camera.metrics", "cam_1", "cam_1"),
            ("stream.started", nil, "YOUR_CHANNEL_ID"),
        ] as [(String, String?, String?)])
    func `a room is resolved to its id or denied`(topic: String, room: String?, canonical: String?) {
        self.resolve(topic, room, to: canonical, as: .user(tenant: "YOUR_CHANNEL_ID"))
    }

    @Test(
        arguments: [
            ("radio.now_playing", "s1", "s1"), ("radio.now_playing", nil, "YOUR_CHANNEL_ID"),
            ("radio.now_playing", "s9", nil), ("channel.announcements", nil, "YOUR_CHANNEL_ID"),
            ("channel.tips", nil, nil), ("channel.giveaways", nil, nil), ("performance.update", nil, nil),
            ("camera.metrics", "cam_1", nil), ("camera.metrics", nil, nil), ("stream.started", nil, nil),
        ] as [(String, String?, String?)])
    func `who is limited to a station has that room, and the public topics`(
        topic: String, room: String?, canonical: String?
    ) {
        self.resolve(topic, room, to: canonical, as: .user(tenant: "YOUR_CHANNEL_ID", stations: ["s1"]))
    }

    private func resolve(_ topic: String, _ room: String?, to canonical: String?, as principal: Principal) {
        let frame = self.subscribe(topic, room: room, as: principal).frames.first
        #expect(frame?["data"]?["room"]?.string == canonical)
        #expect(frame?["error"]?.string == (canonical == nil ? "err_unauthorized" : nil))
        #expect(frame?["nonce"] == "n1")
    }

    @Test(
        arguments: [("Studio", "YOUR_CHANNEL_ID"), ("studio", "YOUR_CHANNEL_ID"), ("other", nil)] as [(String, String?)]
    )
    func `a channel's name is asked for, and means the channel if it is the token's own`(
        room: String, canonical: String?
    ) {
        let asked = self.subscribe(room: room, as: self.channel)
        #expect(asked == [.call(CommandCall(FindChannel(id: "YOUR_CHANNEL_ID")))])
        let frame = self.session.answered(FindChannel.Answer(name: "Studio")).frames.first
        #expect(frame?["data"]?["room"]?.string == canonical)
        #expect(frame?["error"]?.string == (canonical == nil ? "err_unauthorized" : nil))
        #expect(frame?["nonce"] == "n1")
        if canonical != nil {
            let unsubscribe = self.session.receive([
                "type": "unsubscribe", "data": ["topic": "channel.tips", "room": "STUDIO"],
            ])
            #expect(
                unsubscribe.first
                    == .unsubscribe([filterKey("channel.tips", "YOUR_CHANNEL_ID")], tenant: "YOUR_CHANNEL_ID"))
        }
        _ = self.subscribe(room: room, as: self.channel)
        #expect(self.session.failed(.unavailable).frames.first?["error"] == "err_deadline_exceeded")
        // Without the scope nobody is asked.
        let other = Principal.user(tenant: "YOUR_CHANNEL_ID", scopes: ["radio:read"])
        #expect(self.subscribe(room: room, as: other).frames.first?["error"] == "err_unauthorized")
    }

    @Test(arguments: [
        ("channel.tips", "tips:read", true), ("channel.tips", "activities:read", false),
        ("channel.chatstats", "", true),
        ("channel.tips.moderation", "tips:read", false), ("channel.tips.moderation", "tips:*", true),
        ("channel.contests", "", true), ("obs.sceneChanged", "overlays:read", false),
    ])
    func `a topic needs its scope`(topic: String, claim: String, isGranted: Bool) {
        let principal = Principal.user(tenant: "YOUR_CHANNEL_ID", scopes: Scopes(claim: claim))
        let error = self.subscribe(topic, as: principal).frames.first?["error"]
        #expect(error == (isGranted ? nil : "err_unauthorized"))
    }

    @Test func `a bad token is unauthorized, an unverifiable one is worth a retry`() {
        let message: JSON = [
            "type": "subscribe", "nonce": "n", "data": ["topic": "channel.tips", "token": "t", "token_type": "jwt"],
        ]
        _ = self.session.receive(message)
        var frame = self.session.verified(.failure(.invalid(reason: "expired"))).frames.first
        #expect(frame?["error"] == "err_unauthorized")
        #expect(frame?["nonce"] == "n")
        _ = self.session.receive(message)
        frame = self.session.verified(.failure(.unavailable)).frames.first
        #expect(frame?["error"] == "err_deadline_exceeded")
        _ = self.session.receive(message)
        frame = self.session.verified(.failure(.limited(retryAfter: 9))).frames.first
        #expect(frame?["error"] == "rate_limit_exceeded" && frame?["data"]?["retry_after"] == 9)
    }

    @Test func `after five seconds the authorization is over, and a late answer is not heard`() {
        _ = self.session.receive([
            "type": "subscribe", "nonce": "n", "data": ["topic": "channel.tips", "token": "t", "token_type": "jwt"],
        ])
        #expect(self.session.wake(at: .noon + .milliseconds(4999)).frames.isEmpty)
        let frame = self.session.wake(at: .noon + .seconds(5)).frames.first
        #expect(frame?["error"] == "err_deadline_exceeded")
        #expect(frame?["nonce"] == "n")
        #expect(self.session.verified(.success(self.channel)).isEmpty)
    }

    @Test func `a repeated subscribe succeeds and refreshes the token`() {
        _ = self.subscribe(as: .user(tenant: "c", expires: .noon + .seconds(60)))
        let fresh = Principal.user(tenant: "c", expires: .noon + .seconds(600))
        let actions = self.subscribe(as: fresh)
        #expect(actions.frames.first?["error"] == nil)
        #expect(
            actions.dropFirst() == [
                .subscribe([filterKey("channel.tips", "c")], as: fresh), .wake(at: .noon + .seconds(600)),
            ])
        #expect(self.session.wake(at: .noon + .seconds(60)).frames.isEmpty)
    }

    @Test func `an expired token drops its subscription with a nonce-less error, the others stay`() throws {
        _ = self.subscribe("channel.tips", as: .user(tenant: "c", expires: .noon + .seconds(60)))
        let later = self.subscribe("channel.contests", as: .user(tenant: "c", expires: .noon + .seconds(90)))
        #expect(later.last == .wake(at: .noon + .seconds(60)))
        let actions = self.session.wake(at: .noon + .seconds(60))
        #expect(actions.first == .unsubscribe([filterKey("channel.tips", "c")], tenant: "c"))
        let frame = try #require(actions.frames.first)
        #expect(frame["error"] == "err_unauthorized")
        #expect(frame["nonce"] == nil)
        #expect(frame["data"]?["topic"] == "channel.tips")
        #expect(frame["data"]?["room"] == "c")
        #expect(actions.last == .wake(at: .noon + .seconds(90)))
        #expect(actions.count == 3)
    }

    @Test func `there is room for 256 subscriptions`() {
        for index in 0..<256 { #expect(self.subscribe("camera.metrics", room: "cam_\(index)").count == 2) }
        #expect(self.subscribe("camera.metrics", room: "cam_256").frames.first?["error"] == "err_bad_request")
        #expect(self.subscribe("camera.metrics", room: "cam_7").frames.first?["error"] == nil)
        _ = self.session.receive(["type": "unsubscribe", "data": ["topic": "camera.metrics", "room": "cam_7"]])
        #expect(self.subscribe("camera.metrics", room: "cam_256").frames.first?["error"] == nil)
    }

    @Test(arguments: [
        ("", "err_bad_request"), ("{", "err_bad_request"), ("[]", "err_bad_request"), ("7", "err_bad_request"),
        ("{}", "err_bad_request"), (#"{"type":7}"#, "err_bad_request"),
        (#"{"type":"authenticate"}"#, "invalid_message_type"),
        (#"{"type":"subscribe"}"#, "err_bad_request"), (#"{"type":"subscribe","data":[]}"#, "err_bad_request"),
        (
            #"{"type":"subscribe","nonce":7,"data":{"topic":"channel.tips","token":"t","token_type":"jwt"}}"#,
            "err_bad_request"
        ),
        (#"{"type":"subscribe","data":{"topic":"channel.nothing","token":"t","token_type":"jwt"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"channel.*","token":"t","token_type":"jwt"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"auth.revoked","token":"t","token_type":"jwt"}}"#, "err_bad_request"),
        (
            #"{"type":"subscribe","data":{"topic":"channel.tips","room":7,"token":"t","token_type":"jwt"}}"#,
            "err_bad_request"
        ),
        (#"{"type":"subscribe","data":{"topic":"channel.tips","token_type":"jwt"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"channel.tips","token":"","token_type":"jwt"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"channel.tips","token":7,"token_type":"jwt"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"channel.tips","token":"t"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","data":{"topic":"channel.tips","token":"t","token_type":"magic"}}"#, "err_bad_request"),
        (#"{"type":"unsubscribe","data":{"topic":"nothing"}}"#, "err_bad_request"),
        (#"{"type":"subscribe","nonce":"\#(String(repeating: "n", count: 129))","data":{}}"#, "err_bad_request"),
        (
            #"{"type":"subscribe","data":{"topic":"channel.tips","token":"\#(String(repeating: "t", count: 4097))","token_type":"jwt"}}"#,
            "err_bad_request"
        ),
        (
            #"{"type":"unsubscribe","data":{"topic":"channel.tips","room":"\#(String(repeating: "r", count: 129))"}}"#,
            "err_bad_request"
        ),
    ])
    func `a bad command gets its error and closes nothing`(text: String, error: String) {
        let actions = self.session.receive(text)
        #expect(actions.count == 1)
        #expect(actions.frames.first?["error"] == .string(error))
        #expect(actions.frames.first?["type"] == "response")
        #expect(actions.frames.first?["data"]?["message"]?.string != nil)
    }

    @Test func `an error repeats the nonce that the command had, and has none otherwise`() {
        #expect(self.session.receive(#"{"type":"x","nonce":"n7"}"#).frames.first?["nonce"] == "n7")
        #expect(self.session.receive(#"{"type":"x"}"#).frames.first?["nonce"] == nil)
        let answer = self.session.exceedRate().frames.first
        #expect(answer?["error"] == "rate_limit_exceeded" && answer?["nonce"] == nil)
    }

    @Test func `of commands beyond the rate one a second is answered`() {
        for second in 0..<3 {
            let now = Timestamp.noon + .seconds(second)
            #expect(self.session.exceedRate(at: now).frames.first?["error"] == "rate_limit_exceeded")
            for _ in 0..<300 { #expect(self.session.exceedRate(at: now + .milliseconds(999)).isEmpty) }
        }
    }

    @Test func `more than 1000 commands beyond the rate within ten seconds close, fewer never do`() {
        for number in 0..<5000 {
            #expect(self.session.exceedRate(at: .noon + .milliseconds(number * 10)).closing == nil)
        }
        var closing: Closing?
        for _ in 0..<1001 { closing = self.session.exceedRate(at: .noon + .seconds(100)).closing }
        #expect(closing == Closing(1008, "too many messages"))
    }

    @Test func `it has logged in when a credential was good, by a subscription or a reconnect token`() {
        #expect(!self.session.isLoggedIn)
        _ = self.session.receive(
            #"{"type":"subscribe","data":{"topic":"channel.tips","token":"t","token_type":"jwt"}}"#)
        #expect(!self.session.isLoggedIn)
        _ = self.session.verified(.failure(.invalid(reason: "unknown")))
        #expect(!self.session.isLoggedIn)
        _ = self.session.receive(
            #"{"type":"subscribe","data":{"topic":"channel.tips","token":"t","token_type":"jwt"}}"#)
        _ = self.session.verified(.success(.user()))
        #expect(self.session.isLoggedIn)
        let next = Conversation(Astro(), query: [(name: "reconnect_token", value: "t")])
        _ = next.opened()
        #expect(!next.isLoggedIn)
        _ = next.resumed(HandOver(principals: [], session: ["client_id": "c", "subs": []]))
        #expect(next.isLoggedIn)
    }

    @Test func `binary frames are ignored`() {
        #expect(self.session.receiveBinary().isEmpty)
    }
}
