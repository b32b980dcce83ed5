import Events
import TestSupport
import Testing

@Suite(.enabled(if: Suite.isEnabled, Suite.reason)) struct RadioPlayoutTests {
    private let api = "/api/v1"

    private func withRadio(_ body: (Suite, _ owner: String) async throws -> Void) async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 0) { radio in
            try await body(radio, try await radio.token())
        }
    }

    private func makeStation(_ name: String, _ radio: Suite, _ token: String) async throws -> String {
        let made = try await radio.request(
            "POST", .radioPlayout, "\(self.api)/stations", ["name": .string(name)], token: token)
        #expect(made.status == 201)
        return try #require(made["id"]?.string)
    }

    @Test func `a track start is passed on as it was sent and outlives a crash`() async throws {
        try await self.withRadio { radio, owner in
            let station = try await self.makeStation("Eins", radio, owner)
            let nowPlaying = "\(self.api)/public/now-playing?station_id=\(station)"
            #expect(try await radio.request("GET", .radioPlayout, nowPlaying).body == ["status": "idle"])

            let sent: JSON = [
                "station_id": .string(station), "mount_id": "m", "media_id": "t1", "title": "Ünder", "artist": "B",
                "album": "C", "duration": 180.25, "starts_at": "2025-01-15T14:30:00Z",
                "more": [1, nil, ["x": "\u{0}"]],
            ]
            let answer = try await radio.request(
                "POST", .radioPlayout, "\(self.api)/webhooks/track-start", sent, token: owner)
            #expect(answer.status == 202)
            #expect(answer.body == ["status": "received"])
            #expect(try await radio.events(.radioPlayout, "radio.now_playing", room: station, token: owner) == [sent])

            try await radio.kill9(.radioPlayout)
            try radio.start(.radioPlayout)
            try await radio.waitUntilReady(.radioPlayout)
            let playing = try await radio.request("GET", .radioPlayout, nowPlaying).body
            #expect(playing["status"] == "playing")
            #expect(playing["title"] == "Ünder")
            #expect(playing["started_at"] == "2025-01-15T14:30:00Z")
            #expect(
                try await radio.request("GET", .radioPlayout, "\(self.api)/analytics/now-playing?station_id=\(station)")
                    .body == playing)

            _ = try await radio.request(
                "POST", .radioPlayout, "\(self.api)/webhooks/track-start",
                ["station_id": .string(station), "title": "Next"], token: owner)
            #expect(try await radio.request("GET", .radioPlayout, nowPlaying).body["title"] == "Next")
        }
    }

    @Test func `a station has a default mount and can be changed and listed`() async throws {
        try await self.withRadio { radio, owner in
            let station = try await self.makeStation("Radio Eins", radio, owner)
            let mounts = "\(self.api)/stations/\(station)/mounts"
            let standard = try #require(
                try await radio.request("GET", .radioPlayout, mounts, token: owner).body.array?.first)
            #expect(standard["format"] == "mp3")
            #expect([standard["bitrate"], standard["channels"], standard["sample_rate"]] == [128, 2, 44_100])

            let added = try await radio.request(
                "POST", .radioPlayout, mounts, ["name": "hq", "url": "/hq", "format": "ogg", "bitrate_kbps": 320],
                token: owner)
            #expect(added.status == 201)
            let taken = try await radio.request(
                "POST", .radioPlayout, "\(self.api)/stations", ["name": "Radio Eins"], token: owner)
            #expect(taken.status == 409)
            #expect(taken.body == ["error": "station_name_taken"])
            let changed = try await radio.request(
                "PATCH", .radioPlayout, "\(self.api)/stations/\(station)",
                ["description": "News", "timezone": "Europe/Berlin"], token: owner)
            #expect(changed.status == 200)
            #expect(changed.body["timezone"] == "Europe/Berlin")
            #expect(changed.body["name"] == "Radio Eins")

            let listed = try #require(
                try await radio.request("GET", .radioPlayout, "\(self.api)/public/stations").body.array)
            #expect(listed.map { $0["description"] } == ["News"])
            #expect(listed[0]["mounts"]?.array?.map { $0["bitrate"] } == [128, 320])
            _ = try await radio.request(
                "PATCH", .radioPlayout, "\(self.api)/stations/\(station)", ["public": false], token: owner)
            #expect(try await radio.request("GET", .radioPlayout, "\(self.api)/public/stations").body == [])
            let hidden = "\(self.api)/public/now-playing?station_id=\(station)"
            #expect(try await radio.request("GET", .radioPlayout, hidden).status == 404)
            #expect(try await radio.request("GET", .radioPlayout, hidden, token: owner).status == 200)
        }
    }

    @Test func `bad input is refused and changes nothing`() async throws {
        try await self.withRadio { radio, owner in
            let station = try await self.makeStation("Eins", radio, owner)
            let unknown = "00000000-0000-4000-8000-000000000000"
            let refusals: [(String, String, JSON, Int, String)] = [
                ("POST", "stations", [:], 400, "name_required"), ("POST", "stations", ["name": 1], 400, "invalid_name"),
                ("POST", "stations", ["name": "x", "timezone": "Mars/Base"], 400, "invalid_timezone"),
                ("POST", "stations", [], 400, "invalid_json"), ("PATCH", "stations/\(unknown)", [:], 404, "not_found"),
                ("PATCH", "stations/\(station)", ["name": "\u{0}"], 400, "invalid_name"),
                ("POST", "stations/\(station)/mounts", ["name": "x"], 400, "missing_required_fields"),
                ("POST", "stations/%00/mounts", ["name": "x"], 404, "not_found"),
                ("POST", "webhooks/track-start", [:], 400, "station_id_required"),
                ("POST", "webhooks/track-start", ["station_id": .string(unknown)], 404, "not_found"),
                ("POST", "webhooks/track-start", ["station_id": "x"], 404, "not_found"),
                ("POST", "webhooks/track-start", [1], 400, "invalid_json"),
                (
                    "POST", "webhooks/track-start",
                    ["station_id": .string(station), "title": .string(String(repeating: "a", count: 31_000))], 413,
                    "payload_too_large"
                ), ("GET", "public/now-playing", nil, 400, "station_id_required"),
                ("GET", "schedule", nil, 404, "not_found"),
            ]
            for (method, path, body, status, code) in refusals {
                let answer = try await radio.request(
                    method, .radioPlayout, "\(self.api)/\(path)", body == .null ? nil : body, token: owner)
                #expect(answer.status == status, "\(method) \(path) \(body)")
                #expect(answer.body == ["error": .string(code)], "\(method) \(path) \(body)")
            }
            let broken = try await HTTPClient.request(
                "POST", port: radio.port(.radioPlayout), path: "\(self.api)/webhooks/track-start",
                headers: [("Authorization", "Bearer \(owner)")], body: Array("{\"station_id\":".utf8))
            #expect(broken.status == 400)
            #expect(
                try await radio.request("GET", .radioPlayout, "\(self.api)/stations", token: owner).body.array?.count
                    == 1)
            #expect(try await radio.events(.radioPlayout, "radio.now_playing", room: station, token: owner).isEmpty)
        }
    }

    @Test func `a credential reaches its own tenant, scopes and stations only`() async throws {
        try await self.withRadio { radio, owner in
            let mine = try await self.makeStation("Eins", radio, owner)
            let second = try await self.makeStation("Zwei", radio, owner)
            let start: JSON = ["station_id": .string(mine)]
            let webhook = "\(self.api)/webhooks/track-start"

            #expect(
                try await radio.request("GET", .radioPlayout, "\(self.api)/stations").body == ["error": "unauthorized"])
            #expect(try await radio.request("POST", .radioPlayout, webhook, start).status == 401)
            #expect(try await radio.request("POST", .radioPlayout, webhook, start, token: "nonsense").status == 401)

            let reader = try await radio.token(scope: "radio:read")
            let refused = try await radio.request("POST", .radioPlayout, webhook, start, token: reader)
            #expect(refused.status == 403)
            #expect(refused.body == ["error": "insufficient_role"])

            let stranger = try await radio.token(tenant: "other")
            #expect(try await radio.request("GET", .radioPlayout, "\(self.api)/stations", token: stranger).body == [])
            #expect(
                try await radio.request("GET", .radioPlayout, "\(self.api)/stations/\(mine)", token: stranger).status
                    == 404)
            #expect(try await radio.request("POST", .radioPlayout, webhook, start, token: stranger).status == 404)

            let minted = try await radio.request(
                "POST", .auth, "/v1/tokens", ["type": "jwt", "scope": "radio:*", "stations": [.string(second)]],
                token: try radio.ownerKey)
            let limited = try #require(minted["token"]?.string)
            let denied = try await radio.request("POST", .radioPlayout, webhook, start, token: limited)
            #expect(denied.status == 403)
            #expect(denied.body == ["error": "station_access_denied"])
            #expect(
                try await radio.request("POST", .radioPlayout, webhook, ["station_id": .string(second)], token: limited)
                    .status == 202)
            let seen = try await radio.request("GET", .radioPlayout, "\(self.api)/stations", token: limited).body.array
            #expect(seen?.map { $0["id"] } == [.string(second)])
            #expect(try await radio.events(.radioPlayout, "radio.now_playing", room: mine, token: owner).isEmpty)
        }
    }
}
