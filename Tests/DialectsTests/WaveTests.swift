import Events
import Testing

@testable import Dialects

@Suite struct WaveTests {
    private let dialect = Wave()

    @Test(arguments: [
        UpgradeRequest(path: "/v1/streams", query: [("api_key", "wave_live_x")]),
        UpgradeRequest(path: "/v1/streams", headers: ["authorization": "Bearer wave_live_x"]),
        UpgradeRequest(path: "/v1/streams", headers: ["x-api-key": "wave_live_x"]),
    ])
    func `the connection opens, then the key is verified`(request: UpgradeRequest) {
        #expect(self.dialect.admit(request) == .introduce(Credential("wave_live_x")))
        var session = self.dialect.makeSession(request, principal: nil)
        let actions = session.opened(at: .noon)
        #expect(actions == [.verify(Credential("wave_live_x"))])
    }

    @Test func `an event looks as in the contract, with an id`() throws {
        let sample = try fixtureJSON(.wave, "stream-started")
        let event = Event.sample("stream.started", room: "stream_abc123", data: try #require(sample["payload"]))
        let frames = delivered(self.dialect.project(event), holding: [filterKey("stream.started", "stream_abc123")])
        #expect(frames.map { $0.without("id") } == [sample])
        #expect(frames.first?["id"] == .string(event.id.text))
        #expect(delivered(self.dialect.project(event), holding: [filterKey("stream.started", "stream_other")]).isEmpty)
    }

    @Test func `the limits are the contract's`() {
        let profile = self.dialect.profile
        #expect(profile.messageRate == nil)
        #expect(profile.messageBytesMax(isLoggedIn: false) == 8192)
        #expect(profile.messageBytesMax(isLoggedIn: true) == 65_536)
        #expect(profile.silenceMax == .seconds(90))
        #expect(profile.beatInterval == .seconds(30))
        #expect(profile.drainRefusal.status == 503)
    }
}

@Suite struct WaveSessionTests {
    private let session = Conversation(Wave(), query: [("api_key", "k")])
    private static let user = Principal.user(tenant: "org", kind: .apiKey)

    private func connect(_ principal: Principal = Self.user) {
        _ = self.session.opened()
        _ = self.session.verified(.success(principal))
    }

    private static func found(_ tenant: String = "org") -> FindStream.Answer {
        .init(id: "stream_abc123", tenant: tenant)
    }

    @Test func `no key, a bad key and one that expires end with 4401`() {
        let none = Conversation(Wave()).opened()
        #expect(none.frames.first?["payload"]?["code"] == "AUTHENTICATION_REQUIRED")
        #expect(none.closing == Closing(4401, "Invalid Auth"))
        #expect(self.session.verified(.failure(.invalid(reason: "revoked"))) == none)
        let expiring = self.session.verified(.success(.user(expires: .noon + .seconds(9))))
        #expect(expiring.last == .wake(at: .noon + .seconds(9)))
        #expect(self.session.wake(at: .noon + .seconds(9)) == none)
    }

    @Test func `a key that nobody can verify now ends with 4500`() {
        let actions = self.session.verified(.failure(.unavailable))
        #expect(actions.frames.first?["payload"]?["code"] == "SERVICE_UNAVAILABLE")
        #expect(actions.closing?.code == 4500)
    }

    @Test func `who showed too many wrong keys is closed like anybody who is too fast`() {
        let actions = self.session.verified(.failure(.limited(retryAfter: 9)))
        #expect(actions.frames.first?["payload"]?["code"] == "RATE_LIMITED")
        #expect(actions.closing?.code == 4429)
    }

    @Test(arguments: [(Tier.free, 50), (.pro, 500), (.enterprise, nil)] as [(Tier, Int?)])
    func `the plan says how many sockets a key has`(tier: Tier, max: Int?) {
        let actions = self.session.verified(.success(.user(kind: .apiKey, tier: tier, id: "key-9")))
        guard case .claim(let seat)? = actions.first else { return #expect(max == nil && actions.isEmpty) }
        #expect(seat.owner == "wave/key-9")
        #expect(seat.max == max)
        #expect(seat.closing.code == 4429)
        #expect(JSON(parsing: seat.farewell)?["payload"]?["code"] == "RATE_LIMITED")
    }

    @Test(arguments: [CredentialKind.jwt, .oauth2], [nil, "client-1"])
    func `however many tokens somebody has, they share the sockets`(kind: CredentialKind, client: String?) {
        let owners = ["token-1", "token-2"].map { id in
            var principal = Principal.user(kind: kind, id: id)
            principal.client = client
            guard case .claim(let seat)? = Conversation(Wave()).verified(.success(principal)).first else { return "" }
            return seat.owner
        }
        #expect(owners == Array(repeating: "wave/user-1", count: 2))
    }

    @Test(arguments: ["subscribe", "subscribe-wrapped"])
    func `the documented subscribe asks for the stream, is confirmed, and then delivers`(name: String) throws {
        self.connect()
        #expect(
            self.session.receive(try fixture(.wave, name)) == [.call(CommandCall(FindStream(stream: "stream_abc123")))])
        let actions = self.session.answered(Self.found())
        let events: JSON = ["stream.started", "analytics.update", "chat.message"]
        #expect(
            actions.frames == [["type": "subscribed", "payload": ["stream_id": "stream_abc123", "events": events]]])
        #expect(
            actions.last
                == .subscribe(
                    ["stream.started", "analytics.update", "chat.message"].map { filterKey($0, "stream_abc123") },
                    as: Self.user))
    }

    @Test func `subscribing adds to what is held, unsubscribing drops the stream`() throws {
        self.connect()
        _ = self.session.receive(try fixture(.wave, "subscribe"))
        _ = self.session.answered(Self.found())
        _ = self.session.receive([
            "type": "subscribe", "stream_id": "stream_abc123", "events": ["viewer.left", "chat.message"],
        ])
        let actions = self.session.answered(Self.found())
        #expect(
            actions.frames.first?["payload"]?["events"] == [
                "stream.started", "analytics.update", "chat.message", "viewer.left",
            ])
        #expect(actions.last == .subscribe([filterKey("viewer.left", "stream_abc123")], as: Self.user))

        let dropped = self.session.receive(["type": "unsubscribe", "stream_id": "stream_abc123"])
        guard case .unsubscribe(let keys, tenant: "org")? = dropped.first else { return #expect(Bool(false)) }
        #expect(keys.count == 4)
        #expect(dropped.frames == [["type": "unsubscribed", "payload": ["stream_id": "stream_abc123"]]])
        #expect(
            self.session.receive(["type": "unsubscribe", "stream_id": "stream_abc123"]) == Array(dropped.dropFirst()))
    }

    @Test(arguments: [[:], ["events": []], ["events": nil]] as [JSON])
    func `no events means all of WAVE's own that the key may see`(fields: JSON) {
        self.connect(.user(tenant: "org", scopes: [.streamsRead]))
        let message = JSON.object(
            (fields.object ?? [:]).merging(["type": "subscribe", "stream_id": "s"]) { _, own in own })
        _ = self.session.receive(message)
        let events = self.session.answered(Self.found()).frames.first?["payload"]?["events"]
        #expect(events == ["stream.started", "stream.ended", "stream.health", "chat.message", "reaction.received"])
    }

    @Test func `other domains need no stream`() {
        self.connect()
        let actions = self.session.receive(["type": "subscribe", "stream_id": "s1", "events": ["radio.now_playing"]])
        #expect(actions.frames.first?["type"] == "subscribed")
        #expect(actions.last == .subscribe([filterKey("radio.now_playing", "s1")], as: Self.user))
    }

    @Test(
        arguments: [
            (CommandFailure.Code.notFound, "NOT_FOUND"), (.forbidden, "FORBIDDEN"), (.unavailable, nil),
            (.deadlineExceeded, nil),
        ] as [(CommandFailure.Code, String?)])
    func `a stream that is not there is refused; a service that is not there is waited for`(
        code: CommandFailure.Code, error: String?
    ) throws {
        self.connect()
        _ = self.session.receive(try fixture(.wave, "subscribe"))
        let frame = self.session.failed(code).frames.first
        #expect(frame?["type"] == (error == nil ? "subscribed" : "error"))
        #expect(frame?["payload"]?["code"]?.string == error)
        if error != nil { #expect(frame?["payload"]?["details"]?["stream_id"] == "stream_abc123") }
    }

    @Test func `another organisation's stream is forbidden`() throws {
        self.connect()
        _ = self.session.receive(try fixture(.wave, "subscribe"))
        let actions = self.session.answered(Self.found("other"))
        #expect(actions.count == 1)
        #expect(actions.frames.first?["payload"]?["code"] == "FORBIDDEN")
    }

    @Test func `a key for one stream is forbidden every other`() throws {
        var key = Self.user
        key.limits = RoomLimits(streams: ["stream_abc123"])
        self.connect(key)
        let frame = try fixtureJSON(.wave, "subscribe")
        #expect(self.session.receive(frame).contains(.call(CommandCall(FindStream(stream: "stream_abc123")))))
        _ = self.session.answered(Self.found("org"))
        for type in ["subscribe", "chat.message", "reaction.sent"] {
            let actions = self.session.receive([
                "type": .string(type), "stream_id": "another", "message": "Hello", "reaction": "🔥",
            ])
            #expect(actions.frames.first?["payload"]?["code"] == "FORBIDDEN", "\(type)")
        }
    }

    @Test func `a key without the scope is forbidden`() throws {
        self.connect(.user(tenant: "org", scopes: [.analyticsRead]))
        for name in ["subscribe", "chat-message", "reaction-sent"] {
            let frame = self.session.receive(try fixture(.wave, name)).frames.first
            #expect(frame?["payload"]?["code"] == "FORBIDDEN")
        }
    }

    @Test func `chat and reactions go to the service, and only a failure is told`() throws {
        self.connect()
        let chat = CommandCall(SendChat(stream: "stream_abc123", message: "Hello", sender: Self.user))
        #expect(self.session.receive(try fixture(.wave, "chat-message")) == [.call(chat)])
        #expect(self.session.answered(SendChat.Answer(messageID: "m1")).isEmpty)
        let reaction = CommandCall(SendReaction(stream: "stream_abc123", reaction: "🔥", sender: Self.user))
        #expect(self.session.receive(try fixture(.wave, "reaction-sent")) == [.call(reaction)])
        #expect(self.session.answered(SendReaction.Answer(count: 1)).isEmpty)
    }

    @Test(arguments: [
        (CommandFailure.Code.notFound, "NOT_FOUND"), (.forbidden, "FORBIDDEN"), (.conflict, "VALIDATION_ERROR"),
        (.invalid, "VALIDATION_ERROR"), (.unavailable, "SERVICE_UNAVAILABLE"), (.deadlineExceeded, "TIMEOUT"),
        (.internalError, "INTERNAL_ERROR"), (.unknownCommand, "INTERNAL_ERROR"),
    ])
    func `a chat line that fails says why`(code: CommandFailure.Code, error: String) throws {
        self.connect()
        _ = self.session.receive(try fixture(.wave, "chat-message"))
        let actions = self.session.failed(code)
        #expect(actions.count == 1)
        #expect(actions.frames.first?["payload"]?["code"] == .string(error))
        #expect(actions.frames.first?["payload"]?["details"]?["request_type"] == "chat.message")
    }

    @Test func `a pong comes a little later, with the ping's timestamp or the time`() throws {
        self.connect()
        let expected: JSON = ["type": "pong", "payload": ["timestamp": 1_705_336_200_000]]
        #expect(
            self.session.receive(try fixture(.wave, "ping")) == [.sendLater(expected.bytes, after: .milliseconds(50))])
        for text in [#"{"type":"ping"}"#, #"{"type":"ping","timestamp":"x"}"#, #"{"type":"ping","timestamp":null}"#] {
            #expect(self.session.receive(text).frames.first?["payload"]?["timestamp"] == 1_705_336_200_123)
        }
        #expect(self.session.receive(#"{"type":"pong","timestamp":1}"#).isEmpty)
    }

    @Test func `the server pings too, once the key is known`() {
        #expect(self.session.beat().isEmpty)
        self.connect()
        #expect(self.session.beat().frames == [["type": "ping", "payload": ["timestamp": 1_705_336_200_123]]])
    }

    @Test(arguments: [(Tier.free, 120), (.pro, 600), (.enterprise, 2000)])
    func `messages beyond the plan's rate close with 4429, pings are free`(tier: Tier, burst: Int) {
        self.connect(.user(tier: tier))
        for _ in 0..<(burst + 10) { #expect(self.session.receive(#"{"type":"ping"}"#).closing == nil) }
        for _ in 0..<burst { #expect(self.session.receive("{").closing == nil) }
        let actions = self.session.receive("{")
        #expect(actions.frames.first?["payload"]?["code"] == "RATE_LIMITED")
        #expect(actions.frames.first?["payload"]?["details"] == ["retry_after": 60])
        #expect(actions.closing?.code == 4429)
    }

    @Test(arguments: [
        ("", "message"), ("{", "message"), ("[]", "message"), ("\"x\"", "message"), ("{}", "type"),
        (#"{"type":1}"#, "type"),
        (#"{"type":"dance"}"#, "type"), (#"{"type":"subscribe"}"#, "stream_id"),
        (#"{"type":"subscribe","stream_id":7}"#, "stream_id"),
        (#"{"type":"subscribe","stream_id":""}"#, "stream_id"),
        (#"{"type":"subscribe","stream_id":"\#(String(repeating: "s", count: 129))"}"#, "stream_id"),
        (#"{"type":"subscribe","stream_id":"s","events":"stream.started"}"#, "events"),
        (#"{"type":"subscribe","stream_id":"s","events":[1]}"#, "events"),
        (#"{"type":"subscribe","stream_id":"s","events":["stream.started","stream.*"]}"#, "events"),
        (#"{"type":"subscribe","stream_id":"s","events":["auth.revoked"]}"#, "events"),
        (#"{"type":"subscribe","stream_id":"s","events":["reaction.sent"]}"#, "events"),
        (#"{"type":"unsubscribe"}"#, "stream_id"), (#"{"type":"chat.message","message":"x"}"#, "stream_id"),
        (#"{"type":"chat.message","stream_id":"s"}"#, "message"),
        (#"{"type":"chat.message","stream_id":"s","message":""}"#, "message"),
        (#"{"type":"chat.message","stream_id":"s","message":"\#(String(repeating: "x", count: 1001))"}"#, "message"),
        (#"{"type":"reaction.sent","stream_id":"s"}"#, "reaction"),
        (#"{"type":"reaction.sent","stream_id":"s","reaction":"a"}"#, "reaction"),
        (#"{"type":"reaction.sent","stream_id":"s","reaction":"7"}"#, "reaction"),
        (#"{"type":"reaction.sent","stream_id":"s","reaction":"🔥🔥"}"#, "reaction"),
        (#"{"type":"reaction.sent","stream_id":"s","reaction":""}"#, "reaction"),
        (#"{"type":"subscribe","payload":7}"#, "stream_id"),
    ])
    func `a bad message names its field and closes nothing`(text: String, field: String) {
        self.connect()
        let actions = self.session.receive(text)
        #expect(actions.count == 1)
        let payload = actions.frames.first?["payload"]
        #expect(payload?["code"] == "VALIDATION_ERROR")
        #expect(payload?["details"]?["field"] == .string(field))
        if let type = JSON(parsing: Array(text.utf8))?["type"], type.string != nil {
            #expect(payload?["details"]?["request_type"] == type)
        }
    }

    @Test(arguments: ["❤️", "🔥", "👨‍👩‍👧‍👦", "🇧🇷", "1️⃣", "👍🏽", "©️"])
    func `one emoji is a reaction`(emoji: String) {
        self.connect()
        guard
            case .call? = self.session.receive(["type": "reaction.sent", "stream_id": "s", "reaction": .string(emoji)])
                .first
        else {
            return #expect(Bool(false))
        }
    }

    @Test func `a thousand characters are a chat line, and a field beside the type wins`() {
        self.connect()
        let line = String(repeating: "é", count: 1000)
        let message: JSON = [
            "type": "chat.message", "stream_id": "s", "message": .string(line),
            "payload": ["message": "", "stream_id": "x"],
        ]
        #expect(
            self.session.receive(message) == [
                .call(CommandCall(SendChat(stream: "s", message: line, sender: Self.user)))
            ])
    }

    @Test func `a hundred streams are enough`() {
        self.connect(.user(tenant: "org", tier: .enterprise))
        for index in 0..<100 {
            let actions = self.session.receive([
                "type": "subscribe", "stream_id": .string("s\(index)"), "events": ["radio.health"],
            ])
            #expect(actions.frames.first?["type"] == "subscribed")
        }
        let frame = self.session.receive(["type": "subscribe", "stream_id": "one-more", "events": ["radio.health"]])
            .frames.first
        #expect(frame?["payload"]?["code"] == "VALIDATION_ERROR")
    }

    @Test func `a binary frame is an error, a shutdown closes with 1001`() {
        self.connect()
        #expect(self.session.receiveBinary().frames.first?["payload"]?["code"] == "VALIDATION_ERROR")
        #expect(self.session.drain().closing?.code == 1001)
    }
}
