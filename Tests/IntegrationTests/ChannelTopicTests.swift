import Events
import TestSupport
import Testing

/// Overlays, and the topics that others report (contract astro §5, §10).
@Suite("Channel topics", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ChannelTopicTests {
    private static func with(_ body: (ChannelClient) async throws -> Void) async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in try await body(try await ChannelClient(suite)) }
    }

    // MARK: overlays

    @Test func `an overlay is made, changed and removed, and clients have the whole of it`() async throws {
        try await Self.with { channel in
            let socket = try await channel.listen("channel.overlay.update")
            let made = try await channel.succeed("POST", "/overlays/*", ["name": "Alerts"])
            let id = try #require(made["_id"]?.string)
            #expect(made["settings"] == ["width": 1920, "height": 1080, "name": "1080p"])
            #expect(made["type"] == "regular" && made["widgets"] == [] && made["favorite"] == false)
            #expect(try await socket.nextData(1)[0].data == made)

            let widget: JSON = ["id": 1, "type": "se-widget-alert-box", "css": ["top": "1px"]]
            let changed = try await channel.succeed(
                "PUT", "/overlays/*/\(id)",
                .object((made.object ?? [:]).merging(["widgets": [widget], "favorite": true]) { _, new in new }))
            #expect(changed["widgets"] == [widget] && changed["name"] == "Alerts" && changed["favorite"] == true)
            #expect(try await socket.nextData(1)[0].data == changed)
            #expect(try await channel.succeed("GET", "/overlays/*/\(id)") == changed)

            _ = try await channel.succeed("POST", "/overlays/*", ["name": "Other", "type": "campaign"])
            let list = try await channel.succeed("GET", "/overlays/*")
            #expect(list["total"] == 2 && list["docs"]?.array?.map { $0["name"] } == ["Other", "Alerts"])
            #expect(list["docs"]?.array?.allSatisfy { $0["widgets"] == nil } == true)
            #expect(try await channel.succeed("GET", "/overlays/*?type=regular&search=%20")["total"] == 1)
            #expect(try await channel.succeed("GET", "/overlays/*?search=oth")["total"] == 1)

            #expect(try await channel.call("DELETE", "/overlays/*/\(id)").status == 204)
            #expect(try await channel.call("GET", "/overlays/*/\(id)").status == 404)
            #expect(try await channel.call("PUT", "/overlays/*/\(id)", ["name": "x"]).status == 404)
        }
    }

    @Test func `what is no overlay is refused`() async throws {
        try await Self.with { channel in
            for body: JSON in [
                ["name": ""], ["name": nil], ["name": "x", "settings": ["width": 0, "height": 1]],
                ["name": "x", "settings": ["width": 1]], ["name": "x", "widgets": ["a"]],
                ["name": "x", "widgets": [:]],
                ["name": "x", "mobile": 1], ["name": "x", "other": 1], ["name": "x", "widgets": [["a": "\0"]]],
                [
                    "name": "x",
                    "settings": ["width": 1, "height": 1, "x": .string(String(repeating: "x", count: 4096))],
                ],
                ["name": "x", "widgets": [["a": .string(String(repeating: "x", count: 524_288))]]],
            ] {
                let answer = try await channel.call("POST", "/overlays/*", body)
                #expect(answer.status == 400, "\(answer.body)")
            }
            #expect(try await channel.succeed("GET", "/overlays/*")["total"] == 0)
        }
    }

    @Test func `big overlays reach a client, also one that was away, and the log in pages`() async throws {
        try await Self.with { channel in
            // As text a number is short, with all its digits it is not.
            let widgets = JSON.array([
                ["big": 1e308, "text": .string(String(repeating: "x", count: 520_000))]
            ])
            let made = try await channel.succeed("POST", "/overlays/*", ["name": "Big", "widgets": widgets])
            let path = "/overlays/*/\(made["_id"]?.string ?? "")"
            #expect(try await channel.succeed("GET", path)["widgets"] == widgets)
            for number in 0..<40 { try await channel.succeed("PUT", path, ["name": .string("Big \(number)")]) }
            let socket = try await channel.listen("channel.overlay.update")
            try await channel.succeed("PUT", path, ["name": "Last"])
            #expect(try await socket.nextData(1)[0].data["name"] == "Last")

            var (names, cursor, pages): ([JSON?], Int64?, Int) = ([], 0, 0)
            while let after = cursor {
                let page = try await channel.suite.page(
                    .streamMetrics, "type=channel.overlay.update&limit=1000&after=\(after)", token: channel.token)
                names += page.events.map { $0["data"]?["name"] }
                cursor = page.next
                pages += 1
            }
            #expect(names == ["Big"] + (0..<40).map { .string("Big \($0)") } + ["Last"])
            #expect(pages == 3)
        }
    }

    @Test func `overlays are told what to do, and hear a client's own events`() async throws {
        try await Self.with { channel in
            let overlay = try await channel.succeed("POST", "/overlays/*", ["name": "Alerts"])
            let id = try #require(overlay["_id"])
            let socket = try await channel.listen("channel.overlay.action", "channel.overlay.broadcast")
            for action in ["pause", "unpause", "mute", "unmute", "skip", "playNext", "emptyHypeCup", "reload"] {
                _ = try await channel.succeed("PUT", "/overlays/*/action/\(action)")
                #expect(try await socket.nextData(1)[0].data == ["action": .string(action)])
            }
            _ = try await channel.succeed("PUT", "/overlays/*/reload")
            #expect(try await socket.nextData(1)[0].data == ["action": "reload"])

            for said: JSON in [
                ["target": "global", "event": "mine", "data": ["key": "value"]],
                ["target": id, "event": .string(String(repeating: "e", count: 256)), "data": [:]],
                ["target": "global", "event": "big", "data": ["x": .string(String(repeating: "x", count: 5112))]],
            ] {
                #expect(try await channel.succeed("POST", "/overlays/*/broadcast", said) == said)
                let heard = try await socket.nextData(1)[0]
                #expect(heard.topic == "channel.overlay.broadcast" && heard.data == said)
            }
            for (body, status): (JSON, Int) in [
                (["event": ""], 400), (["target": "global"], 400), (["event": "x", "data": "text"], 400),
                (["event": .string(String(repeating: "e", count: 257))], 400),
                (["event": "x", "data": ["x": .string(String(repeating: "x", count: 5113))]], 400),
                (["event": "x", "target": "somewhere"], 400),
                (["event": "x", "target": "0123456789abcdef01234567"], 404),
            ] {
                #expect(try await channel.call("POST", "/overlays/*/broadcast", body).status == status, "\(body)")
            }
            #expect(try await channel.call("PUT", "/overlays/*/action/explode").status == 400)

            let reader = try await ChannelClient(
                channel.suite, channel: channel.channel, scope: "overlays:read")
            #expect(try await reader.call("GET", "/overlays/*").status == 200)
            for (method, path) in [
                ("POST", ""), ("PUT", "/reload"), ("PUT", "/action/skip"), ("POST", "/broadcast"),
                ("DELETE", "/\(id.string ?? "")"),
            ] {
                #expect(try await reader.call(method, "/overlays/*\(path)", [:]).status == 403, "\(method) \(path)")
            }
        }
    }

    // MARK: topics

    /// What contract astro §5 gives as a payload, a topic each.
    private static let payloads: [(topic: String, scope: String, data: JSON)] = [
        ("channel.announcements", "channel:write", ["title": "Tonight"]),
        ("channel.chatstats", "channel:write", ["messages": 12]),
        (
            "channel.chat.message", "overlays:write",
            ["chatter_user_name": "ann", "message": ["text": "hi", "fragments": []], "color": "#ff0000"]
        ),
        ("channel.kvstore.update", "kvstore:write", ["key": "customWidget.score", "value": ["home": 3]]),
        (
            "channel.songrequest", "overlays:write",
            [
                "event": "queue.add",
                "payload": ["song": ["_id": "1", "title": "Song"], "position": 3, "queue": "queue"],
            ]
        ),
        ("channel.songrequest", "overlays:write", ["event": "volume", "payload": ["volume": 75]]),
        ("channel.songrequest", "overlays:write", ["event": "song.next", "payload": [:]]),
        (
            "channel.contests", "channel:write",
            ["event": "update", "payload": ["optionId": "o", "amount": 100, "userId": "u"]]
        ),
        ("channel.contests", "channel:write", ["event": "state", "payload": ["state": "running", "contestId": "c"]]),
        ("channel.contests", "channel:write", ["event": "winner", "payload": ["winnerId": "o"]]),
        (
            "channel.giveaways", "channel:write",
            [
                "giveawayId": "67cf4296216c6ff883878c0a", "event": "enter", "state": "running",
                "data": ["totalUsers": 150, "totalTickets": 3200, "entry": ["username": "cooluser", "tickets": 10]],
            ]
        ),
        (
            "channel.giveaways", "channel:write",
            ["giveawayId": "67cf4296216c6ff883878c0a", "event": "close", "state": "closed", "data": nil]
        ),
        ("channel.loyalty.redemptions", "store:write", ["item": "Sound"]),
        ("channel.loyalty.items", "store:write", ["item": "Sound", "cost": 100]),
        ("channel.chatbot.status", "bot:write", ["joined": true, "mod": false]),
        (
            "channel.chatbot.modules.pyramid", "bot:write",
            ["msg_id": "m", "user_id": "u", "user_name": "n", "word": "Kappa", "width": 3]
        ),
        (
            "channel.chatbot.modules.emotecombo", "bot:write",
            ["msg_id": "m", "user_id": "u", "user_name": "n", "emote": "Kappa", "count": 5]
        ),
        ("channel.chatbot.counters", "channel:write", ["counter": "deaths", "value": 7]),
        ("channel.chatbot.audiencequeue", "bot:write", ["event": "audience-queue:deleted", "payload": nil]),
        (
            "channel.chatbot.audiencequeue", "bot:write",
            ["event": "audience-queue:member-enqueued", "payload": ["id": "1", "username": "ann", "position": 4]]
        ),
        (
            "channel.chatbot.timeout", "channel:write",
            ["msg_id": "m", "user_id": "u", "user_name": "n", "duration": 600]
        ),
    ]

    @Test func `every topic that others report is said as it is, and kept`() async throws {
        try await Self.with { channel in
            for (topic, scope, data) in Self.payloads {
                let writer = try await ChannelClient(channel.suite, channel: channel.channel, scope: scope)
                let socket = try await channel.listen(topic)
                let answer = try await writer.call("POST", "/channels/*/topics/\(topic)", data)
                #expect(answer.status == 201, "\(topic) \(answer.body)")
                let heard = try await socket.nextData(1)[0]
                var expected = data.object ?? [:]
                if topic == "channel.giveaways" { expected["channelId"] = .string(channel.channel) }
                #expect(heard.topic == topic && heard.data == .object(expected))
                #expect(answer.body["data"] == heard.data)

                let log = try await channel.suite.request(
                    "GET", .streamMetrics, "/v1/events?type=\(topic)", token: channel.token)
                let kept = log["events"]?.array?.last
                // Chat statistics are measurements.
                if topic == "channel.chatstats" {
                    #expect(kept == nil)
                } else {
                    #expect(kept?["id"] == answer.body["id"] && kept?["data"] == heard.data, "\(topic)")
                }
            }
            let reader = try await ChannelClient(
                channel.suite, channel: channel.channel, scope: "overlays:read bot:read channel:read")
            for (topic, _, data) in Self.payloads {
                #expect(try await reader.call("POST", "/channels/*/topics/\(topic)", data).status == 403, "\(topic)")
            }
        }
    }

    @Test func `what a topic cannot say is refused, and nobody hears it`() async throws {
        try await Self.with { channel in
            let socket = try await channel.listen(
                "channel.songrequest", "channel.contests", "channel.giveaways", "channel.chatbot.status",
                "channel.chatbot.modules.pyramid", "channel.chatbot.counters", "channel.chatbot.audiencequeue",
                "channel.chatbot.timeout", "channel.announcements")
            for (topic, body): (String, JSON) in [
                ("channel.announcements", [:]), ("channel.announcements", ["a": "\0"]),
                ("channel.announcements", ["a": .string(String(repeating: "x", count: 32_768))]),
                ("channel.songrequest", ["event": "explode"]), ("channel.songrequest", ["event": "volume"]),
                ("channel.songrequest", ["event": "volume", "payload": ["volume": 101]]),
                (
                    "channel.songrequest",
                    ["event": "queue.add", "payload": ["song": ["title": "x"], "queue": "other"]]
                ),
                ("channel.songrequest", ["event": "song.voteskip", "payload": ["totalVotes": 1]]),
                ("channel.contests", ["event": "state", "payload": ["state": "sleeping"]]),
                ("channel.contests", ["event": "winner"]),
                ("channel.giveaways", ["event": "start", "state": "running"]),
                ("channel.giveaways", ["giveawayId": "g", "event": "enter", "state": "running", "data": [:]]),
                (
                    "channel.giveaways",
                    ["giveawayId": "g", "event": "start", "state": "running", "channelId": "another"]
                ),
                ("channel.chatbot.status", ["joined": 1]), ("channel.chatbot.status", ["sleeping": true]),
                ("channel.chatbot.modules.pyramid", ["word": "x", "width": 3]),
                ("channel.chatbot.counters", ["counter": "x", "value": "7"]),
                ("channel.chatbot.audiencequeue", ["event": "audience-queue:created", "payload": nil]),
                ("channel.chatbot.audiencequeue", ["event": "audience-queue:deleted", "payload": [:]]),
                ("channel.chatbot.timeout", ["msg_id": "m", "user_id": "u", "user_name": "n", "duration": -1]),
            ] {
                let answer = try await channel.call("POST", "/channels/*/topics/\(topic)", body)
                #expect(answer.status == 400, "\(topic) \(body)")
                #expect(answer.body["statusCode"] == 400)
            }
            // Those have resources of their own, or are nobody's to say.
            for topic in ["channel.tips", "channel.chatbot.modules", "channel.nothing", "stream.started"] {
                let answer = try await channel.call("POST", "/channels/*/topics/\(topic)", ["a": 1])
                #expect(answer.status == 404)
            }
            _ = try await channel.succeed("POST", "/channels/*/topics/channel.announcements", ["last": true])
            #expect(try await socket.nextData(1)[0].data == ["last": true])
        }
    }

    @Test func `a client learns whose its credential is`() async throws {
        try await Self.with { channel in
            let me = try await channel.succeed("GET", "/channels/me")
            #expect(me["_id"] == .string(channel.channel))
            let user = try await channel.succeed("GET", "/users/current")
            #expect(user["channels"]?.array?.first == me && user["primaryChannel"] == me["_id"])
            #expect(try await channel.call("GET", "/channels/another").status == 403)
        }
    }
}
