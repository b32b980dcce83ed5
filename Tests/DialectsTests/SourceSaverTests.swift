import Events
import Testing

@testable import Dialects

@Suite struct SourceSaverTests {
    private let dialect = SourceSaver()

    @Test func `a local client without a token is anonymous, one from elsewhere is refused`() {
        #expect(self.dialect.admit(UpgradeRequest(path: "/")) == .open(.anonymous))
        let remote = UpgradeRequest(path: "/", remoteAddress: "203.0.113.7", isLocal: false)
        guard case .refuse(let refusal) = self.dialect.admit(remote) else { return #expect(Bool(false)) }
        #expect(refusal.status == 401)
        #expect(refusal.body == #"{"error":"Unauthorized"}"#)
    }

    @Test(arguments: [
        UpgradeRequest(path: "/", query: [("token", "t1")]),
        UpgradeRequest(path: "/", headers: ["authorization": "Bearer t1"], isLocal: false),
        UpgradeRequest(path: "/", headers: ["authorization": "bearer  t1 "]),
    ])
    func `a token is verified wherever it stands`(request: UpgradeRequest) {
        guard case .verify(let credential, let refusal) = self.dialect.admit(request) else {
            return #expect(Bool(false))
        }
        #expect(credential == Credential("t1"))
        #expect(refusal.status == 401)
    }

    @Test(arguments: ["sources-create", "performance-alert"])
    func `an event looks as in the contract's sample, with an id`(name: String) throws {
        let sample = try fixtureJSON(.sourceSaver, name)
        let wire = try #require(sample["event"]?.string)
        let type = EventType(wire.replacing(":", with: "."))
        let stamp = try #require(sample["timestamp"]?.string)
        let time = try #require(Timestamp(iso8601: stamp))
        let event = Event.sample(type, data: try #require(sample["data"]), time: time)
        let frame = try #require(delivered(self.dialect.project(event), holding: [wire]).first)
        #expect(frame.without("id", "timestamp") == sample.without("timestamp"))
        #expect(frame["id"] == .string("msg-\(event.id.text)"))
        #expect(Timestamp(iso8601: frame["timestamp"]?.string ?? "") == time)
    }

    @Test func `the timestamp has milliseconds`() throws {
        let frames = delivered(self.dialect.project(.sample("obs.sceneChanged")), holding: ["*"])
        #expect(frames.map { $0["timestamp"] } == ["2024-01-15T16:30:00.123Z"])
    }

    @Test func `an event answers to its name, its category and everything`() {
        #expect(self.dialect.project(.sample("radio.now_playing"))[0].keys == ["radio:now_playing", "radio:*", "*"])
        #expect(
            self.dialect.project(.sample("channel.chat.message"))[0].keys == ["channel:chat.message", "channel:*", "*"])
    }

    @Test func `an alert comes under its old name only to those who ask for that`() {
        let projections = self.dialect.project(.sample("performance.alert"))
        let names = { (keys: Set<String>) in delivered(projections, holding: keys).map { $0["event"] } }
        #expect(names(["*"]) == ["performance:alert"])
        #expect(names(["system:*"]) == [])
        #expect(
            names(["performance:*", "system:performanceAlert"]) == ["performance:alert", "system:performanceAlert"])
    }

    @Test func `what is for gateways only, and what nobody knows, is not said`() {
        #expect(self.dialect.project(.sample("auth.revoked")).isEmpty)
        #expect(self.dialect.project(.sample("moon.rising")).isEmpty)
    }
}

@Suite struct SourceSaverSessionTests {
    private let session = Conversation(SourceSaver(), principal: .anonymous)

    @Test func `nothing is said at the opening, and only status and maintenance are due`() {
        #expect(
            self.session.opened()
                == [.subscribe(["system:statusChange", "system:maintenanceMode"], as: .anonymous)])
    }

    @Test func `the contract's subscribe, unsubscribe and ping get the contract's answers`() throws {
        var actions = self.session.receive(try fixture(.sourceSaver, "subscribe"))
        var frame = try #require(actions.first?.frame)
        let confirmed = try fixtureJSON(.sourceSaver, "subscription-confirmed")
        #expect(frame["event"] == confirmed["event"])
        #expect(frame["data"]?.without("subscriptionId") == confirmed["data"]?.without("subscriptionId"))
        #expect(frame["data"]?["subscriptionId"]?.string?.hasPrefix("sub-") == true)
        #expect(frame["id"]?.string?.hasPrefix("msg-") == true)
        #expect(frame["timestamp"] == "2024-01-15T16:30:00.123Z")
        #expect(
            actions.dropFirst() == [
                .unsubscribe(["system:statusChange", "system:maintenanceMode"], tenant: "default"),
                .subscribe(["sources:*", "obs:sceneChanged", "performance:update"], as: .anonymous),
            ])

        actions = self.session.receive(try fixture(.sourceSaver, "unsubscribe"))
        let updated = try fixtureJSON(.sourceSaver, "subscription-updated")
        #expect(actions.first == .unsubscribe(["performance:update"], tenant: "default"))
        #expect(actions.frames.map { $0.without("id", "timestamp") } == [updated])

        frame = try #require(self.session.receive(try fixture(.sourceSaver, "ping")).first?.frame)
        #expect(frame["event"] == "pong")
        #expect(
            frame["data"] == ["clientTimestamp": "2024-01-15T16:30:00Z", "serverTimestamp": "2024-01-15T16:30:00.123Z"])
    }

    @Test func `a ping without a timestamp is answered with null`() {
        let frames = self.session.receive(#"{"action":"ping"}"#).frames
        #expect(frames.first?["data"]?["clientTimestamp"] == .null)
    }

    @Test func `subscribing adds, and says the whole set in the order of first subscription`() {
        _ = self.session.receive(["action": "subscribe", "events": ["obs:*", "obs:*", "*"]])
        let actions = self.session.receive(["action": "subscribe", "events": ["*", "sources:create"]])
        #expect(actions.frames.first?["data"]?["subscribedEvents"] == ["obs:*", "*", "sources:create"])
        #expect(actions.dropFirst() == [.subscribe(["sources:create"], as: .anonymous)])
        let again = self.session.receive(["action": "subscribe", "events": ["*"]])
        #expect(again.count == 1)
    }

    @Test func `removing a pattern that is not held is no error`() {
        _ = self.session.receive(["action": "subscribe", "events": ["sources:*"]])
        let actions = self.session.receive(["action": "unsubscribe", "events": ["sources:create", "what:ever"]])
        #expect(actions.count == 1)
        #expect(actions.frames.first?["data"] == ["subscribedEvents": ["sources:*"], "unsubscribedEvents": []])
    }

    @Test(arguments: [
        "invalid:*", "*:create", "sources:cr*", "", "sources", "sources:created", "auth:*", "auth:revoked",
        "sources.create", "**",
        String(repeating: "x", count: 129),
    ])
    func `a bad pattern rejects the whole call`(pattern: String) {
        let actions = self.session.receive(["action": "subscribe", "events": ["sources:*", .string(pattern)]])
        #expect(actions.count == 1)
        #expect(
            actions.frames.first?["data"] == [
                "type": "subscription_error", "code": "INVALID_EVENT_PATTERN",
                "message": .string("Invalid event pattern: \(pattern)"),
            ])
        let next = self.session.receive(["action": "subscribe", "events": ["obs:*"]])
        #expect(next.frames.first?["data"]?["subscribedEvents"] == ["obs:*"])
    }

    @Test(arguments: [
        "sources:*", "scenes:*", "obs:*", "performance:*", "system:*", "*", "system:performanceAlert",
        "radio:now_playing",
        "camera:*", "channel:chat.message", "system:maintenanceMode",
    ])
    func `these patterns are good`(pattern: String) {
        let actions = self.session.receive(["action": "subscribe", "events": [.string(pattern)]])
        #expect(actions.frames.first?["event"] == "subscription:confirmed")
    }

    @Test(arguments: [
        ("{", "INVALID_JSON"), ("", "INVALID_JSON"), ("nonsense", "INVALID_JSON"), ("[]", "INVALID_MESSAGE"),
        ("null", "INVALID_MESSAGE"), ("\"subscribe\"", "INVALID_MESSAGE"), ("7", "INVALID_MESSAGE"),
        ("{}", "INVALID_MESSAGE"),
        (#"{"action":1}"#, "INVALID_MESSAGE"), (#"{"action":"dance"}"#, "UNKNOWN_ACTION"),
        (#"{"action":"subscribe"}"#, "INVALID_EVENTS"), (#"{"action":"subscribe","events":[]}"#, "INVALID_EVENTS"),
        (#"{"action":"subscribe","events":"sources:*"}"#, "INVALID_EVENTS"),
        (#"{"action":"subscribe","events":["sources:*",1]}"#, "INVALID_EVENTS"),
        (#"{"action":"unsubscribe"}"#, "INVALID_EVENTS"),
        (
            #"{"action":"subscribe","events":[\#(Array(repeating: "\"*\"", count: 101).joined(separator: ","))]}"#,
            "INVALID_EVENTS"
        ),
    ])
    func `a bad message is answered with an error and the connection stays`(text: String, code: String) {
        let actions = self.session.receive(text)
        #expect(actions.count == 1)
        let frame = actions.frames.first
        #expect(frame?["event"] == "error")
        #expect(frame?["data"]?["code"] == .string(code))
        let type = code == "INVALID_EVENTS" ? "subscription_error" : "message_error"
        #expect(frame?["data"]?["type"] == .string(type))
        #expect(frame?["data"]?["message"]?.string?.isEmpty == false)
    }

    @Test func `a hundred patterns are allowed`() {
        let events = JSON.array(Array(repeating: "*", count: 100))
        let frames = self.session.receive(["action": "subscribe", "events": events]).frames
        #expect(frames.first?["data"]?["subscribedEvents"] == ["*"])
    }

    @Test func `too many messages get one error, are ignored for five seconds, then heard again`() throws {
        let expected = try fixtureJSON(.sourceSaver, "rate-limit-exceeded")
        #expect(self.session.exceedRate().frames.map { $0.without("id", "timestamp") } == [expected])
        #expect(self.session.exceedRate().isEmpty)
        #expect(self.session.receive(#"{"action":"ping"}"#, at: .noon + .milliseconds(4999)).isEmpty)
        #expect(self.session.receive(#"{"action":"ping"}"#, at: .noon + .seconds(5)).count == 1)
        #expect(self.session.exceedRate(at: .noon + .seconds(6)).count == 1)
    }

    @Test func `the 201st ignored message closes`() {
        _ = self.session.exceedRate()
        for index in 0..<200 {
            let actions = index % 2 == 0 ? self.session.exceedRate() : self.session.receive("{}")
            #expect(actions.isEmpty)
        }
        #expect(self.session.receive("{}").closing?.code == 1008)
    }

    @Test func `a binary frame, a shutdown and the token's end close with their codes`() {
        #expect(self.session.receiveBinary().closing?.code == 1003)
        #expect(self.session.drain() == [.close(.goingAway)])
        let expiring = Principal.user(expires: .noon + .seconds(60))
        let session = Conversation(SourceSaver(), principal: expiring)
        #expect(session.opened().last == .wake(at: .noon + .seconds(60)))
        #expect(session.wake(at: .noon + .seconds(60)).closing == Closing(1008, "token expired"))
    }
}
