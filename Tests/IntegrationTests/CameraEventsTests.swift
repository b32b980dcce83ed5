import Events
import Testing

@Suite(.enabled(if: Suite.isEnabled, Suite.reason)) struct CameraEventsTests {
    private let source = "rtsp://user:secret@10.0.0.1:554/live"

    private func withCamera(_ body: (Suite, _ owner: String, _ id: String) async throws -> Void) async throws {
        try await Suite.with([.auth, .cameraEvents], gateways: 0) { cameras in
            let owner = try await cameras.token()
            let made = try await cameras.request(
                "POST", .cameraEvents, "/v1/cameras",
                ["name": "Door", "source_url": .string(self.source), "location": "Hall"], token: owner)
            #expect(made.status == 201)
            try await body(cameras, owner, try #require(made.body["id"]?.string))
        }
    }

    private func face(_ confidence: JSON = 0.97) -> JSON {
        [
            "confidence": confidence, "timestamp": 1_645_678_900,
            "bounding_box": ["x": 1, "y": 2, "width": 30, "height": 40],
            "frame": ["width": 1920, "height": 1080], "person": nil, "snapshot_url": nil,
        ]
    }

    @Test func `a detection is stored and published in the contract's words`() async throws {
        try await self.withCamera { cameras, owner, id in
            let path = "/v1/cameras/\(id)/detections"
            let posted = try await cameras.request("POST", .cameraEvents, path, self.face(), token: owner)
            #expect(posted.status == 201)
            var expected = try #require(self.face().object)
            expected["camera_id"] = .string(id)
            expected["detection_id"] = posted.body["detection_id"]
            #expect(posted.body == .object(expected))
            #expect(
                try await cameras.events(.cameraEvents, "camera.face_detected", room: id, token: owner) == [posted.body]
            )
            #expect(
                try await cameras.request("GET", .cameraEvents, path, token: owner).body == [
                    "detections": [posted.body]
                ])
            #expect(
                try await cameras.request("GET", .cameraEvents, "\(path)?since=1645678901", token: owner).body == [
                    "detections": []
                ])

            let many = JSON.array(Array(repeating: self.face(0.5), count: 100))
            #expect(try await cameras.request("POST", .cameraEvents, path, many, token: owner).status == 201)
            #expect(
                try await cameras.events(.cameraEvents, "camera.face_detected", room: id, token: owner).count == 100)
            #expect(
                try await cameras.request("GET", .cameraEvents, "\(path)?limit=1000", token: owner).body["detections"]?
                    .array?.count
                    == 101)
        }
    }

    @Test func `one bad detection keeps the others out`() async throws {
        try await self.withCamera { cameras, owner, id in
            let bodies: [JSON] = [
                [], [self.face(), self.face(2)], .array(Array(repeating: self.face(), count: 101)), 1, [:],
                self.face(nil),
            ]
            for body in bodies {
                let answer = try await cameras.request(
                    "POST", .cameraEvents, "/v1/cameras/\(id)/detections", body, token: owner)
                #expect(answer.status == 400)
                #expect(answer.body["error"]?["code"] == "INVALID_REQUEST")
            }
            _ = try await cameras.request("PATCH", .cameraEvents, "/v1/cameras/\(id)", ["enabled": false], token: owner)
            #expect(
                try await cameras.request(
                    "POST", .cameraEvents, "/v1/cameras/\(id)/detections", self.face(), token: owner
                ).status == 409)
            #expect(try await cameras.events(.cameraEvents, "camera.face_detected", room: id, token: owner).isEmpty)
        }
    }

    @Test func `control says what it cannot do`() async throws {
        try await self.withCamera { cameras, owner, id in
            let path = "/v1/cameras/\(id)/stream"
            let status = try await cameras.request("GET", .cameraEvents, path, token: owner)
            #expect(status.status == 200)
            var expected: [String: JSON] = [
                "camera_id": .string(id), "stream_id": nil, "status": "stopped", "event": "status", "quality": nil,
                "error": nil,
            ]
            expected["timestamp"] = status.body["timestamp"]
            #expect(status.body == .object(expected))

            let cases: [(JSON, Int, JSON?)] = [
                (["action": "start"], 409, "CONTROL_FAILED"), (["action": "restart"], 409, "CONTROL_FAILED"),
                (["action": "set_quality", "settings": ["width": 640]], 409, "CONTROL_FAILED"),
                (["action": "set_quality"], 400, "INVALID_SETTINGS"),
                (["action": "set_quality", "settings": ["width": 1]], 400, "INVALID_SETTINGS"),
                (["action": "explode"], 400, "INVALID_ACTION"), ([:], 400, "INVALID_ACTION"),
                (["action": "stop"], 202, nil),
                (["action": "status"], 202, nil),
            ]
            for (body, code, error) in cases {
                let answer = try await cameras.request("POST", .cameraEvents, path, body, token: owner)
                #expect(answer.status == code, "\(body)")
                #expect(answer.body["error"]?["code"] == error, "\(body)")
            }
            let unknown = try await cameras.request(
                "POST", .cameraEvents, "/v1/cameras/cam_00000000000000000000000000/stream", ["action": "start"],
                token: owner)
            #expect(unknown.status == 404)
            #expect(unknown.body["error"]?["code"] == "CAMERA_NOT_FOUND")
            let reader = try await cameras.token(scope: "cameras:read")
            #expect(
                try await cameras.request("POST", .cameraEvents, path, ["action": "stop"], token: reader).status == 403)
            #expect(
                try await cameras.request("POST", .cameraEvents, path, ["action": "status"], token: reader).status
                    == 202)
            #expect(try await cameras.events(.cameraEvents, "camera.stream_status", room: id, token: owner).isEmpty)
        }
    }

    @Test func `a client on the bus hears the same of control`() async throws {
        try await Suite.with([.auth, .cameraEvents]) { suite in
            let token = try await suite.token()
            let made = try await suite.request(
                "POST", .cameraEvents, "/v1/cameras", ["name": "Door", "source_url": .string(self.source)], token: token
            )
            let id = try #require(made["id"])
            let airys = try await suite.connect(4, "/v1/stream")
            try await airys.send(["type": "auth", "token": .string(token)])
            _ = try await airys.next { $0["type"] == "system" }

            try await airys.send(["type": "stream_control", "action": "start", "camera_id": id])
            #expect(try await airys.next()["data"]?["code"] == "CONTROL_FAILED")
            try await airys.send(["type": "stream_control", "action": "start", "camera_id": "cam_123"])
            #expect(try await airys.next()["data"]?["code"] == "CAMERA_NOT_FOUND")
            try await airys.send(["type": "stream_control", "action": "stop", "camera_id": id])
            #expect(try await airys.next()["type"] == "ack")
            try await airys.send(["type": "stream_control", "action": "status", "camera_id": id])
            let status = try await airys.next { $0["type"] == "stream_status" }
            #expect(status["data"]?["status"] == "stopped")
            #expect(status["data"]?["camera_id"] == id)
        }
    }

    @Test func `a camera is changed, deleted, and its source shown to those who may write it`() async throws {
        try await self.withCamera { cameras, owner, id in
            let path = "/v1/cameras/\(id)"
            #expect(
                try await cameras.request("GET", .cameraEvents, path, token: owner).body["source_url"]
                    == .string(self.source))
            let reader = try await cameras.token(scope: "cameras:read")
            #expect(
                try await cameras.request("GET", .cameraEvents, path, token: reader).body["source_url"]
                    == "rtsp://10.0.0.1:554/***")
            let listed = try await cameras.request("GET", .cameraEvents, "/v1/cameras", token: reader).body["cameras"]?
                .array
            #expect(listed?.map { $0["source_url"] } == ["rtsp://10.0.0.1:554/***"])

            let changed = try await cameras.request(
                "PATCH", .cameraEvents, path, ["location": nil, "name": "Gate", "settings": ["width": 1280]],
                token: owner)
            #expect(changed.body["location"] == .some(.null))
            #expect(changed.body["name"] == "Gate")
            #expect(changed.body["settings"] == ["width": 1280])

            #expect(
                try await cameras.request("POST", .cameraEvents, "\(path)/detections", self.face(), token: owner).status
                    == 201)
            #expect(try await cameras.request("DELETE", .cameraEvents, path, token: reader).status == 403)
            #expect(try await cameras.request("DELETE", .cameraEvents, path, token: owner).status == 204)
            #expect(try await cameras.request("DELETE", .cameraEvents, path, token: owner).status == 404)
            #expect(try await cameras.request("GET", .cameraEvents, "\(path)/detections", token: owner).status == 404)
        }
    }

    @Test func `another tenant and a missing credential see nothing`() async throws {
        try await self.withCamera { cameras, owner, id in
            let stranger = try await cameras.token(tenant: "other")
            #expect(
                try await cameras.request("GET", .cameraEvents, "/v1/cameras", token: stranger).body == ["cameras": []])
            let paths: [(String, String, JSON?)] = [
                ("GET", "", nil), ("PATCH", "", ["name": "x"]), ("DELETE", "", nil), ("GET", "/stream", nil),
                ("POST", "/stream", ["action": "stop"]), ("GET", "/detections", nil),
                ("POST", "/detections", self.face()),
            ]
            for (method, path, body) in paths {
                #expect(
                    try await cameras.request(method, .cameraEvents, "/v1/cameras/\(id)\(path)", body, token: stranger)
                        .status == 404)
                let anonymous = try await cameras.request(method, .cameraEvents, "/v1/cameras/\(id)\(path)", body)
                #expect(anonymous.status == 401)
                #expect(anonymous.body["error"]?["code"] == "NOT_AUTHENTICATED")
            }
            #expect(try await cameras.events(.cameraEvents, "camera.face_detected", room: id, token: owner).isEmpty)
        }
    }
}
