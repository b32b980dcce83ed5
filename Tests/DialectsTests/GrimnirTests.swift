import Events
import Testing

@testable import Dialects

@Suite struct GrimnirTests {
    private let dialect = Grimnir()

    @Test func `an API key goes before a bearer token, and that before the query`() {
        var request = UpgradeRequest(path: "/api/v1/events", query: [("token", "q")])
        #expect(self.credential(request) == Credential("q"))
        request.headers["authorization"] = "Bearer b"
        #expect(self.credential(request) == Credential("b"))
        request.headers["x-api-key"] = "gr_1"
        #expect(self.credential(request) == Credential("gr_1"))
    }

    @Test func `no credential is refused as the contract says, and so is a bad one`() {
        let expected = HTTPRefusal(
            401, headers: ["WWW-Authenticate": "Bearer", "Content-Type": "application/json"],
            body: #"{"error":"unauthorized"}"#)
        #expect(self.dialect.admit(UpgradeRequest(path: "/api/v1/events")) == .refuse(expected))
        #expect(self.dialect.admit(UpgradeRequest(path: "/api/v1/events", query: [("token", "")])) == .refuse(expected))
        guard case .verify(_, expected) = self.dialect.admit(UpgradeRequest(path: "/", query: [("token", "x")])) else {
            return #expect(Bool(false))
        }
    }

    @Test(
        arguments: [
            ("", ["now_playing", "health"]), (nil, ["now_playing", "health"]), (" , ", ["now_playing", "health"]),
            ("now_playing,live.handover", ["now_playing", "live.handover"]),
            (" dj_connect , ,dj_connect,dj_disconnect", ["dj_connect", "dj_disconnect"]),
            ("dj.connect,schedule.update", []), ("nonsense,health", ["health"]),
            (
                "webstream.health,listener_stats,playout.queue_change,priority.change",
                ["webstream.health", "listener_stats", "playout.queue_change", "priority.change"]
            ),
            ("obs.sceneChanged,auth.revoked,radio.now_playing", ["obs.sceneChanged"]),
        ] as [(String?, [String])])
    func `types come from the query, unknown ones are left out`(types: String?, expected: [String]) {
        let query: [(name: String, value: String)] = types.map { [("types", $0)] } ?? []
        let session = Conversation(self.dialect, query: query, principal: .user())
        let actions = session.opened()
        #expect(
            actions.filter { if case .futile = $0 { false } else { true } }
                == (expected.isEmpty ? [] : [.subscribe(expected, as: .user())]))
        // Operators see what was ignored.
        let asked = types?.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty } ?? []
        let unknown = asked.isEmpty ? [] : Set(asked).subtracting(expected)
        #expect(
            Set(actions.compactMap { if case .futile(let name, .unknownName) = $0 { name } else { nil } })
                == Set(unknown))
    }

    @Test(arguments: ["now-playing", "live-handover", "health"])
    func `an event looks as in the contract's sample`(name: String) throws {
        let sample = try fixtureJSON(.grimnir, name)
        let wire = try #require(sample["type"]?.string)
        let event = Event.sample(EventType("radio.\(wire)"), room: "station-1", data: try #require(sample["payload"]))
        #expect(delivered(self.dialect.project(event), holding: [wire]) == [sample])
    }

    @Test func `a ping goes out every 15 seconds, exactly as the contract has it`() throws {
        #expect(self.dialect.profile.beatInterval == .seconds(15))
        let session = Conversation(self.dialect, principal: .user())
        let ping = try fixture(.grimnir, "ping").filter { $0 != UInt8(ascii: "\n") }
        #expect(session.beat() == [.send(ping)])
    }

    @Test(arguments: [#"{"type":"pong"}"#, "", "{", "nonsense"])
    func `whatever a client says is discarded`(text: String) {
        let session = Conversation(self.dialect, principal: .user())
        #expect(session.receive(text).isEmpty)
        #expect(session.receiveBinary(Array(text.utf8)).isEmpty)
    }

    @Test func `the connection ends with the token and with the server`() {
        let principal = Principal.user(expires: .noon + .seconds(900))
        let session = Conversation(self.dialect, principal: principal)
        #expect(session.opened().last == .wake(at: .noon + .seconds(900)))
        #expect(session.wake(at: .noon + .seconds(900)) == [.close(Closing(1008, "token expired"))])
        #expect(session.drain().closing?.code == 1001)
    }

    @Test func `the limits are the contract's`() {
        let profile = self.dialect.profile
        #expect(profile.messageBytesMax(isLoggedIn: false) == 4096)
        #expect(profile.messageBytesMax(isLoggedIn: true) == 4096)
        #expect(profile.connectionsMax == 10_000)
        #expect(profile.connectionsRefusal.status == 503)
        #expect(profile.connectionsRefusal.body == #"{"error":"connection_limit_reached"}"#)
        #expect(profile.attemptRate == .rolling(100, per: .seconds(60)))
        #expect(profile.attemptRefusal.status == 429)
        #expect(profile.attemptRefusal.body == #"{"error":"rate_limited"}"#)
        #expect(profile.drainRefusal.status == 503)
    }

    private func credential(_ request: UpgradeRequest) -> Credential? {
        guard case .verify(let credential, _) = self.dialect.admit(request) else { return nil }
        return credential
    }
}
