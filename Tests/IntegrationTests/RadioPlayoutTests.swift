import Events
import Testing

@Suite(.enabled(if: LoneService.isEnabled, LoneService.reason)) struct RadioPlayoutTests {
    private let api = "/api/v1"

    private func withRadio(_ body: (LoneService, _ owner: String) async throws -> Void) async throws {
        try await LoneService.with(.radioPlayout, offset: 50) { radio in
            try await body(radio, try await radio.token(scope: "*"))
        }
    }

    private func makeStation(_ name: String, _ radio: LoneService, _ token: String) async throws -> String {
        let (status, station) = try await radio.call(
            "POST", "\(self.api)/stations", token: token, ["name": .string(name)])
        #expect(status == 201)
        return try #require(station["id"]?.string)
    }

    @Test func `a track start is passed on as it was sent and outlives a crash`() async throws {
        try await self.withRadio { radio, owner in
            let station = try await self.makeStation("Eins", radio, owner)
            let nowPlaying = "\(self.api)/public/now-playing?station_id=\(station)"
            #expect(try await radio.call("GET", nowPlaying).body == ["status": "idle"])

            let sent: JSON = [
                "station_id": .string(station), "mount_id": "m", "media_id": "t1", "title": "Ünder", "artist": "B",
                "album": "C", "duration": 180.25, "starts_at": "2025-01-15T14:30:00Z",
                "more": [1, nil, ["x": "\u{0}"]],
            ]
            let answer = try await radio.call("POST", "\(self.api)/webhooks/track-start", token: owner, sent)
            #expect(answer.status == 202)
            #expect(answer.body == ["status": "received"])
            #expect(try await radio.events("radio.now_playing", room: station, token: owner) == [sent])

            try await radio.restart()
            let playing = try await radio.call("GET", nowPlaying).body
            #expect(playing["status"] == "playing")
            #expect(playing["title"] == "Ünder")
            #expect(playing["started_at"] == "2025-01-15T14:30:00Z")
            #expect(
                try await radio.call("GET", "\(self.api)/analytics/now-playing?station_id=\(station)").body == playing)

            _ = try await radio.call(
                "POST", "\(self.api)/webhooks/track-start", token: owner,
                ["station_id": .string(station), "title": "Next"])
            #expect(try await radio.call("GET", nowPlaying).body["title"] == "Next")
        }
    }

    @Test func `a station has a default mount and can be changed and listed`() async throws {
        try await self.withRadio { radio, owner in
            let station = try await self.makeStation("Radio Eins", radio, owner)
            let mounts = "\(self.api)/stations/\(station)/mounts"
            let standard = try #require(try await radio.call("GET", mounts, token: owner).body.array?.first)
            #expect(standard["format"] == "mp3")
            #expect([standard["bitrate"], standard["channels"], standard["sample_rate"]] == [128, 2, 44_100])

            let added = try await radio.call(
                "POST", mounts, token: owner, ["name": "hq", "url": "/hq", "format": "ogg", "bitrate_kbps": 320])
            #expect(added.status == 201)
            let taken = try await radio.call("POST", "\(self.api)/stations", token: owner, ["name": "Radio Eins"])
            #expect(taken.status == 409)
            #expect(taken.body == ["error": "station_name_taken"])
            let changed = try await radio.call(
                "PATCH", "\(self.api)/stations/\(station)", token: owner,
                ["description": "News", "timezone": "Europe/Berlin"])
            #expect(changed.status == 200)
            #expect(changed.body["timezone"] == "Europe/Berlin")
            #expect(changed.body["name"] == "Radio Eins")

            let listed = try #require(try await radio.call("GET", "\(self.api)/public/stations").body.array)
            #expect(listed.map { $0["description"] } == ["News"])
            #expect(listed[0]["mounts"]?.array?.map { $0["bitrate"] } == [128, 320])
            _ = try await radio.call("PATCH", "\(self.api)/stations/\(station)", token: owner, ["public": false])
            #expect(try await radio.call("GET", "\(self.api)/public/stations").body == [])
            let hidden = "\(self.api)/public/now-playing?station_id=\(station)"
            #expect(try await radio.call("GET", hidden).status == 404)
            #expect(try await radio.call("GET", hidden, token: owner).status == 200)
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
                let answer = try await radio.call(
                    method, "\(self.api)/\(path)", token: owner, body == .null ? nil : body)
                #expect(answer.status == status, "\(method) \(path) \(body)")
                #expect(answer.body == ["error": .string(code)], "\(method) \(path) \(body)")
            }
            let broken = try await radio.call(
                "POST", "\(self.api)/webhooks/track-start", token: owner, bytes: Array("{\"station_id\":".utf8))
            #expect(broken.status == 400)
            #expect(try await radio.call("GET", "\(self.api)/stations", token: owner).body.array?.count == 1)
            #expect(try await radio.events("radio.now_playing", room: station, token: owner).isEmpty)
        }
    }

    @Test func `a credential reaches its own tenant, scopes and stations only`() async throws {
        try await self.withRadio { radio, owner in
            let mine = try await self.makeStation("Eins", radio, owner)
            let second = try await self.makeStation("Zwei", radio, owner)
            let start: JSON = ["station_id": .string(mine)]
            let webhook = "\(self.api)/webhooks/track-start"

            #expect(try await radio.call("GET", "\(self.api)/stations").body == ["error": "unauthorized"])
            #expect(try await radio.call("POST", webhook, start).status == 401)
            #expect(try await radio.call("POST", webhook, token: "nonsense", start).status == 401)

            let reader = try await radio.token(scope: "radio:read")
            let refused = try await radio.call("POST", webhook, token: reader, start)
            #expect(refused.status == 403)
            #expect(refused.body == ["error": "insufficient_role"])

            let stranger = try await radio.token(scope: "*", tenant: "other")
            #expect(try await radio.call("GET", "\(self.api)/stations", token: stranger).body == [])
            #expect(try await radio.call("GET", "\(self.api)/stations/\(mine)", token: stranger).status == 404)
            #expect(try await radio.call("POST", webhook, token: stranger, start).status == 404)

            let limited = try await radio.token(scope: "radio:*", stations: [second])
            let denied = try await radio.call("POST", webhook, token: limited, start)
            #expect(denied.status == 403)
            #expect(denied.body == ["error": "station_access_denied"])
            #expect(
                try await radio.call("POST", webhook, token: limited, ["station_id": .string(second)]).status == 202)
            let seen = try await radio.call("GET", "\(self.api)/stations", token: limited).body.array
            #expect(seen?.map { $0["id"] } == [.string(second)])
            #expect(try await radio.events("radio.now_playing", room: mine, token: owner).isEmpty)
        }
    }
}
