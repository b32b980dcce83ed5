import Events
import Testing

@testable import Dialects

@Suite struct AirysSessionTests {
    private let session = Conversation(Airys())
    private static let user = Principal.user(tenant: "account")
    private static let ownKeys = ["analytics", "face_detected", "metrics", "stream_status"].map { filterKey($0, "*") }

    private func logIn(_ principal: Principal = Self.user) {
        _ = self.session.opened()
        _ = self.session.receive(#"{"type":"auth","token":"t"}"#)
        _ = self.session.verified(.success(principal))
        _ = self.session.answered(ActiveCameras.Answer(statuses: []))
    }

    private func code(_ actions: [SessionAction]) -> JSON? {
        actions.frames.first { $0["type"] == "error" }?["data"]?["code"]
    }

    @Test func `the documented login is verified, greeted, told the status, and hears everything`() throws {
        #expect(self.session.opened() == [.wake(at: .noon + .seconds(10))])
        #expect(self.session.receive(try fixture(.airys, "auth")) == [.verify(Credential("your_api_token"))])
        let actions = self.session.verified(.success(Self.user), at: Timestamp(milliseconds: 1_645_678_900_000))
        guard case .claim(let seat)? = actions.first else { return #expect(Bool(false)) }
        #expect(seat.owner == "airys/account")
        #expect(seat.max == 100)
        #expect(seat.closing.code == 4429)
        #expect(JSON(parsing: seat.farewell)?["data"]?["code"] == "CONNECTION_LIMIT")

        let frames = actions.frames
        #expect(frames[0]["type"] == "auth_success")
        #expect(
            frames[0]["data"]?.without("session_id")
                == ["account_id": "account", "tier": "free", "max_message_size": 1_048_576, "heartbeat_interval": 30])
        #expect(frames[0]["data"]?["session_id"]?.string != nil)
        #expect(frames[1] == (try fixtureJSON(.airys, "system-status")))
        #expect(actions.contains(.subscribe(Self.ownKeys, as: Self.user)))
        #expect(actions.last == .call(CommandCall(ActiveCameras(tenant: "account"))))
    }

    @Test func `the status is due to every account, whatever its scopes`() throws {
        _ = self.session.receive(#"{"type":"auth","token":"t"}"#)
        let actions = self.session.verified(.success(.user(tenant: "account", scopes: [])))
        let watchers = actions.compactMap { action -> Principal? in
            guard case .subscribe(["system"], as: let principal) = action else { return nil }
            return principal
        }
        let watcher = try #require(watchers.first)
        #expect(watcher.tenant == "default")
        #expect(watcher.scopes == [.systemRead])
        #expect(watcher.credentialID == "key-1")
        #expect(!actions.contains(.call(CommandCall(ActiveCameras(tenant: "account")))))
    }

    @Test func `the active cameras follow the login`() {
        _ = self.session.receive(#"{"type":"auth","token":"t"}"#)
        _ = self.session.verified(.success(Self.user))
        let statuses: [JSON] = [["camera_id": "cam_1", "event": "started"], ["camera_id": "cam_2"]]
        #expect(
            self.session.answered(ActiveCameras.Answer(statuses: statuses)).frames == [
                ["type": "stream_status", "data": ["camera_id": "cam_1", "event": "status"]],
                ["type": "stream_status", "data": ["camera_id": "cam_2", "event": "status"]],
            ])
    }

    @Test func `without the camera service the login stands`() {
        _ = self.session.receive(#"{"type":"auth","token":"t"}"#)
        _ = self.session.verified(.success(Self.user))
        #expect(self.session.failed(.unavailable).isEmpty)
        #expect(self.session.receive(#"{"type":"ping"}"#).frames.first?["type"] == "pong")
    }

    @Test func `a bad token closes with 4401, an unverifiable one with 4500, silence with 4401`() {
        _ = self.session.opened()
        _ = self.session.receive(#"{"type":"auth","token":"t","request_id":"r1"}"#)
        let actions = self.session.verified(.failure(.invalid(reason: "unknown")))
        #expect(self.code(actions) == "AUTH_FAILED")
        #expect(actions.frames.first?["data"]?["request_id"] == "r1")
        #expect(actions.closing?.code == 4401)

        let second = Conversation(Airys(), query: [("token", "t")])
        #expect(second.opened() == [.wake(at: .noon + .seconds(10)), .verify(Credential("t"))])
        #expect(second.verified(.failure(.unavailable)).closing?.code == 4500)

        let guessing = Conversation(Airys(), query: [("token", "t")])
        _ = guessing.opened()
        let limited = guessing.verified(.failure(.limited(retryAfter: 9)))
        #expect(self.code(limited) == "RATE_LIMITED")
        #expect(limited.closing?.code == 4429)

        let third = Conversation(Airys())
        _ = third.opened()
        #expect(third.wake(at: .noon + .seconds(9)).isEmpty)
        let late = third.wake(at: .noon + .seconds(10))
        #expect(self.code(late) == "AUTH_TIMEOUT")
        #expect(late.closing?.code == 4401)
        #expect(third.verified(.success(Self.user)).isEmpty)
    }

    @Test(arguments: ["{", "", "[]", #"{"type":"subscribe"}"#, #"{"type":"ping"}"#, #"{"type":7}"#])
    func `nothing but the login is heard before it`(text: String) {
        _ = self.session.opened()
        let actions = self.session.receive(text)
        #expect(self.code(actions) == "NOT_AUTHENTICATED")
        #expect(actions.closing == nil)
    }

    @Test(arguments: [#"{"type":"auth"}"#, #"{"type":"auth","token":7}"#, #"{"type":"auth","token":""}"#])
    func `a login without a token is a bad message`(text: String) {
        #expect(self.code(self.session.receive(text)) == "INVALID_MESSAGE")
    }

    @Test func `a second login is refused, but the first one by message is accepted after one by the URL`() {
        self.logIn()
        #expect(self.code(self.session.receive(#"{"type":"auth","token":"t"}"#)) == "ALREADY_AUTHENTICATED")

        let byURL = Conversation(Airys(), query: [("token", "t")])
        _ = byURL.opened()
        _ = byURL.verified(.success(Self.user))
        _ = byURL.answered(ActiveCameras.Answer(statuses: []))
        #expect(byURL.receive(#"{"type":"auth","token":"t2"}"#) == [.verify(Credential("t2"))])
        #expect(byURL.verified(.success(Self.user)).frames.map { $0["type"] } == ["auth_success"])
        #expect(self.code(byURL.receive(#"{"type":"auth","token":"t"}"#)) == "ALREADY_AUTHENTICATED")
    }

    @Test func `a login by message into another account than the URL's fails`() {
        let session = Conversation(Airys(), query: [("token", "t")])
        _ = session.opened()
        _ = session.verified(.success(Self.user))
        _ = session.answered(ActiveCameras.Answer(statuses: []))
        _ = session.receive(#"{"type":"auth","token":"t2"}"#)
        #expect(session.verified(.success(.user(tenant: "other"))).closing?.code == 4401)
    }

    @Test func `the first subscribe replaces the default, the next one adds`() {
        self.logIn()
        var actions = self.session.receive([
            "type": "subscribe", "events": ["metrics"], "camera_ids": ["cam_1"], "request_id": "r",
        ])
        #expect(actions.first == .unsubscribe(Self.ownKeys, tenant: "account"))
        #expect(
            actions.frames == [
                ["type": "subscribed", "data": ["events": ["metrics"], "camera_ids": ["cam_1"], "request_id": "r"]]
            ])
        #expect(actions.last == .subscribe([filterKey("metrics", "cam_1")], as: Self.user))
        actions = self.session.receive(["type": "subscribe", "events": ["analytics"], "camera_ids": ["cam_2"]])
        #expect(
            actions.frames.first?["data"] == ["events": ["metrics", "analytics"], "camera_ids": ["cam_1", "cam_2"]])
        #expect(
            actions.last
                == .subscribe(
                    [filterKey("analytics", "cam_1"), filterKey("analytics", "cam_2"), filterKey("metrics", "cam_2")],
                    as: Self.user))
    }

    @Test func `what is left out of a subscribe means all`() {
        self.logIn()
        let actions = self.session.receive(["type": "subscribe", "camera_ids": ["cam_1"]])
        #expect(
            actions.frames.first?["data"]
                == ["events": ["stream_status", "face_detected", "analytics", "metrics"], "camera_ids": ["cam_1"]])
        let all = self.session.receive(["type": "subscribe", "events": ["*"]])
        #expect(all.last == .subscribe([filterKey("*", "*")], as: Self.user))
        #expect(all.frames.first?["data"]?["camera_ids"] == .null)
    }

    @Test func `an unsubscribe says what remains, and one without names ends everything`() {
        self.logIn()
        let actions = self.session.receive(["type": "unsubscribe", "events": ["metrics", "analytics"]])
        #expect(
            actions.first == .unsubscribe([filterKey("analytics", "*"), filterKey("metrics", "*")], tenant: "account"))
        #expect(
            actions.frames
                == [
                    [
                        "type": "unsubscribed",
                        "data": ["events": ["stream_status", "face_detected"], "camera_ids": nil],
                    ]
                ])
        let rest = self.session.receive(["type": "unsubscribe"])
        #expect(rest.frames.first?["data"]?["events"] == [])
        #expect(
            self.session.receive(["type": "subscribe", "events": ["metrics"]]).frames.first?["data"]?["events"] == [
                "metrics"
            ])
    }

    @Test func `an unknown event changes nothing`() {
        self.logIn()
        let actions = self.session.receive(["type": "subscribe", "events": ["metrics", "camera.metrics"]])
        #expect(actions.count == 1)
        #expect(self.code(actions) == "INVALID_EVENT")
        #expect(self.code(self.session.receive(["type": "subscribe", "events": ["auth.revoked"]])) == "INVALID_EVENT")
    }

    @Test func `a filter has an end`() {
        self.logIn()
        let cameras = JSON.array((0..<1000).map { .string("cam_\($0)") })
        #expect(self.code(self.session.receive(["type": "subscribe", "camera_ids": cameras])) == nil)
        let events: JSON = ["radio.health", "radio.now_playing"]
        let actions = self.session.receive(["type": "subscribe", "events": events, "camera_ids": ["cam_1"]])
        #expect(self.code(actions) == "INVALID_MESSAGE")
    }

    @Test func `the documented control goes to the service and is acknowledged`() throws {
        self.logIn()
        let call = ControlCamera(camera: "cam_123", action: "start", settings: nil, sender: Self.user)
        #expect(self.session.receive(try fixture(.airys, "stream-control")) == [.call(CommandCall(call))])
        let frames = self.session.answered(ControlCamera.Answer(status: ["camera_id": "cam_123"])).frames
        #expect(
            frames == [
                [
                    "type": "ack",
                    "data": ["ref": "stream_control", "action": "start", "camera_id": "cam_123", "accepted": true],
                ]
            ])
    }

    @Test func `settings that are null are none`() {
        self.logIn()
        let call = ControlCamera(camera: "c", action: "stop", settings: nil, sender: Self.user)
        let actions = self.session.receive(
            ["type": "stream_control", "action": "stop", "camera_id": "c", "settings": nil])
        #expect(actions == [.call(CommandCall(call))])
        #expect(
            self.session.receive(#"{"type":"ping","timestamp":[]}"#).frames.first?["data"]?["client_timestamp"] == nil)
    }

    @Test func `asking for the status answers the sender only, after the acknowledgement`() {
        self.logIn(.user(tenant: "account", scopes: [.camerasRead]))
        _ = self.session.receive(["type": "stream_control", "action": "status", "camera_id": "c", "request_id": "r9"])
        let frames = self.session.answered(ControlCamera.Answer(status: ["camera_id": "c", "status": "active"])).frames
        #expect(frames.map { $0["type"] } == ["ack", "stream_status"])
        #expect(frames.first?["data"]?["request_id"] == "r9")
        #expect(frames.last?["data"] == ["camera_id": "c", "status": "active", "event": "status"])
        #expect(
            self.code(self.session.receive(["type": "stream_control", "action": "start", "camera_id": "c"]))
                == "FORBIDDEN")
    }

    @Test func `a token for one camera is told of that one and controls no other`() {
        var user = Self.user
        user.limits = RoomLimits(cameras: ["mine"])
        _ = self.session.opened()
        _ = self.session.receive(#"{"type":"auth","token":"t"}"#)
        _ = self.session.verified(.success(user))
        let frames = self.session.answered(
            ActiveCameras.Answer(statuses: [["camera_id": "mine"], ["camera_id": "other"]])
        ).frames
        #expect(frames.map { $0["data"]?["camera_id"] } == ["mine"])
        for (camera, isCalled) in [("other", false), ("mine", true)] {
            let actions = self.session.receive([
                "type": "stream_control", "action": "stop", "camera_id": .string(camera),
            ])
            #expect((self.code(actions) == "FORBIDDEN") != isCalled)
        }
    }

    @Test(arguments: [
        (CommandFailure.Code.notFound, "CAMERA_NOT_FOUND"), (.forbidden, "FORBIDDEN"), (.invalid, "INVALID_SETTINGS"),
        (.conflict, "CONTROL_FAILED"), (.unavailable, "CONTROL_FAILED"), (.deadlineExceeded, "CONTROL_FAILED"),
    ])
    func `a control that fails says why and closes nothing`(code: CommandFailure.Code, error: String) throws {
        self.logIn()
        _ = self.session.receive(try fixture(.airys, "stream-control"))
        let actions = self.session.failed(code)
        #expect(actions.count == 1)
        #expect(self.code(actions) == .string(error))
    }

    @Test(
        arguments: [
            (["bitrate_kbps": 64, "adaptive_bitrate": true], true),
            (["width": 7680, "height": 16, "frame_rate": 120], true),
            (["bitrate_kbps": 63], false), (["bitrate_kbps": 50_001], false), (["width": 15], false),
            (["frame_rate": 0], false),
            (["frame_rate": "30"], false), (["adaptive_bitrate": 1], false), (["zoom": 2], false), ([:], false),
            ([], false), (nil, false),
            (["width": 100.5], false),
        ] as [(JSON, Bool)])
    func `quality settings have ranges`(settings: JSON, isValid: Bool) {
        self.logIn()
        let actions = self.session.receive(
            ["type": "stream_control", "action": "set_quality", "camera_id": "c", "settings": settings])
        #expect(self.code(actions) == (isValid ? nil : "INVALID_SETTINGS"))
    }

    @Test(arguments: [
        ("{", "INVALID_MESSAGE"), ("", "INVALID_MESSAGE"), ("[]", "INVALID_MESSAGE"), ("{}", "INVALID_MESSAGE"),
        (#"{"type":1}"#, "INVALID_MESSAGE"), (#"{"type":"dance"}"#, "UNKNOWN_TYPE"),
        (#"{"type":"chunk"}"#, "INVALID_MESSAGE"),
        (#"{"type":"stream_control","camera_id":"c"}"#, "INVALID_ACTION"),
        (#"{"type":"stream_control","action":"explode","camera_id":"c"}"#, "INVALID_ACTION"),
        (#"{"type":"stream_control","action":"start"}"#, "INVALID_MESSAGE"),
        (#"{"type":"stream_control","action":"start","camera_id":7}"#, "INVALID_MESSAGE"),
        (#"{"type":"subscribe","events":"metrics"}"#, "INVALID_MESSAGE"),
        (#"{"type":"subscribe","camera_ids":[7]}"#, "INVALID_MESSAGE"),
        (#"{"type":"ping","request_id":7}"#, "INVALID_MESSAGE"),
        (#"{"type":"ping","request_id":"\#(String(repeating: "r", count: 65))"}"#, "INVALID_MESSAGE"),
    ])
    func `a bad message gets its error and closes nothing`(text: String, code: String) {
        self.logIn()
        let actions = self.session.receive(text)
        #expect(actions.count == 1)
        #expect(self.code(actions) == .string(code))
        #expect(actions.frames.first?["data"]?["details"] == [:])
    }

    @Test func `heartbeats are answered in seconds`() {
        self.logIn()
        #expect(
            self.session.receive(#"{"type":"heartbeat","timestamp":5,"request_id":"r"}"#).frames == [
                ["type": "heartbeat", "data": ["timestamp": 1_705_336_200, "client_timestamp": 5, "request_id": "r"]]
            ])
        #expect(
            self.session.receive(#"{"type":"ping"}"#).frames == [
                ["type": "pong", "data": ["timestamp": 1_705_336_200]]
            ])
    }

    @Test func `the third overflow in a minute closes with 4429`() {
        self.logIn()
        let first = self.session.exceedRate()
        #expect(self.code(first) == "RATE_LIMITED")
        #expect(first.frames.first?["data"]?["details"] == ["retry_after": 1])
        #expect(self.session.exceedRate(at: .noon + .milliseconds(999)).isEmpty)
        #expect(self.session.exceedRate(at: .noon + .seconds(10)).closing == nil)
        #expect(self.session.exceedRate(at: .noon + .seconds(65)).closing == nil)
        #expect(self.session.exceedRate(at: .noon + .seconds(66)).closing?.code == 4429)
    }

    @Test func `a shutdown is announced and the line is dropped, for clients come back only from that`() throws {
        self.logIn()
        let actions = self.session.drain()
        #expect(actions.frames.map { $0["data"]?["status"] } == ["restarting"])
        #expect(actions.last == .drop)
        #expect(self.session.receive("{}").isEmpty)
    }

    @Test func `a binary frame closes with 1003, the token's end with 4401`() {
        #expect(Conversation(Airys()).receiveBinary().closing?.code == 1003)
        self.logIn(.user(expires: .noon + .seconds(60)))
        #expect(self.session.wake(at: .noon + .seconds(59)) == [.wake(at: .noon + .seconds(60))])
        #expect(self.session.wake(at: .noon + .seconds(60)).closing?.code == 4401)
    }
}
