import Database
import Events
import TestSupport
import Testing

/// What overlays show of a channel, and how activities and tips keep it right (contract astro §5, §10, §11).
@Suite("Channel sessions", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ChannelSessionTests {
    private static func with(
        _ body: (_ channel: ChannelClient, _ databaseURL: String) async throws -> Void
    ) async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .streamMetrics], databaseURL: url) { suite in
                try await body(try await ChannelClient(suite), url)
            }
        }
    }

    private static func happens(_ kind: String, _ name: String, _ data: [String: JSON] = [:]) -> JSON {
        [
            "type": .string(kind), "provider": "twitch",
            "data": .object(data.merging(["username": .string(name)]) { own, _ in own }),
        ]
    }

    @Test func `an activity changes its family's values, and a client hears each`() async throws {
        try await Self.with { channel, _ in
            let socket = try await channel.listen("channel.activities", "channel.session.update")
            let activity = try await channel.succeed("POST", "/activities/*", Self.happens("follow", "ann"))
            let said = try await socket.nextData(7)
            #expect(said[0].topic == "channel.activities")
            #expect(
                said.dropFirst().map { $0.data["key"]?.string } == [
                    "follower-latest", "follower-session", "follower-week", "follower-month", "follower-total",
                    "follower-count",
                ])
            let first = said[1].data
            #expect(first["name"] == first["key"])
            #expect(first["provider"] == "twitch" && first["channel"] == .string(channel.channel))
            #expect(first["data"]?["name"] == "ann" && first["data"]?["activityId"] == activity["_id"])
            #expect(said[2].data["data"]?["count"] == 1)

            let session = try await channel.succeed("GET", "/sessions/*")
            #expect(session["data"]?["follower-latest"]?["name"] == "ann")
            #expect(session["data"]?["follower-latest"]?["activityId"] == nil)
            #expect(session["data"]?["follower-recent"]?.array?.count == 1)
            #expect(session["data"]?["follower-recent"]?.array?.first?["createdAt"] == activity["createdAt"])
            #expect(session["data"]?["tip-total"] == ["amount": 0, "count": 0])
            #expect(session["sessionEventsCount"] == 1)
        }
    }

    @Test func `amounts are summed, and the greatest are named`() async throws {
        try await Self.with { channel, _ in
            for (name, amount) in [("a", 10.0), ("b", 15), ("a", 10.1), ("c", 0.2)] {
                _ = try await channel.succeed(
                    "POST", "/activities/*", Self.happens("cheer", name, ["amount": JSON(amount)]))
            }
            let data = try #require(try await channel.succeed("GET", "/sessions/*")["data"])
            for span in ["session", "week", "month", "total"] {
                #expect(data["cheer-\(span)"] == ["amount": 35.3, "count": 4])
            }
            #expect(data["cheer-count"] == ["count": 4])
            #expect(data["cheer-latest"] == ["name": "c", "amount": 0.2])
            for span in ["session", "weekly", "monthly", "alltime"] {
                #expect(data["cheer-\(span)-top-donation"] == ["name": "b", "amount": 15])
                #expect(data["cheer-\(span)-top-donator"] == ["name": "a", "amount": 20.1])
            }
            #expect(data["cheer-recent"]?.array?.map { $0["name"] } == ["c", "a", "b", "a"])
        }
    }

    @Test func `money is summed in one currency, and begins anew in another`() async throws {
        try await Self.with { channel, _ in
            for (kind, amount, currency) in [
                ("tip", 5.0, "eur"), ("tip", 1000, "JPY"), ("superchat", 2, "EUR"), ("superchat", 900, "JPY"),
                ("cheer", 100, "bits"),
            ] {
                _ = try await channel.succeed(
                    "POST", "/activities/*",
                    Self.happens(kind, "ann", ["amount": JSON(amount), "currency": .string(currency)]))
            }
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "bob", ["amount": 1]))
            #expect(try await channel.session("tip-total") == ["amount": 6, "count": 3])
            #expect(try await channel.session("tip-alltime-top-donation") == ["name": "ann", "amount": 5])
            #expect(try await channel.session("superchat-week") == ["amount": 2, "count": 2])
            #expect(try await channel.session("cheer-month") == ["amount": 100, "count": 1])

            let socket = try await channel.listen("channel.session.update")
            let settings = try await channel.succeed("PUT", "/tips/*/settings", ["currency": "usd"])
            #expect(settings["currency"] == "USD")
            let said = try await socket.nextData(24).map(\.data)
            #expect(Set(said.compactMap { $0["key"]?.string?.prefix { $0 != "-" } }) == ["tip", "superchat"])
            #expect(try await channel.session("tip-total") == ["amount": 0, "count": 3])
            #expect(try await channel.session("cheer-month") == ["amount": 100, "count": 1])
            _ = try await channel.succeed(
                "POST", "/activities/*", Self.happens("tip", "bob", ["amount": 4, "currency": "USD"]))
            #expect(try await channel.session("tip-total") == ["amount": 4, "count": 4])
            #expect(try await channel.session("tip-alltime-top-donator") == ["name": "bob", "amount": 4])
        }
    }

    @Test func `subscriptions are told apart, and gifters counted`() async throws {
        try await Self.with { channel, _ in
            for data: [String: JSON] in [
                ["amount": 1, "tier": "1000"], ["amount": 7, "message": "hi"], ["gifted": true, "sender": "gina"],
                ["gifted": true, "sender": "gina"],
            ] {
                _ = try await channel.succeed("POST", "/activities/*", Self.happens("subscriber", "bob", data))
            }
            let data = try #require(try await channel.succeed("GET", "/sessions/*")["data"])
            #expect(data["subscriber-session"] == ["count": 4] && data["subscriber-total"] == ["count": 4])
            #expect(data["subscriber-new-session"] == ["count": 1] && data["subscriber-resub-session"] == ["count": 1])
            #expect(data["subscriber-gifted-session"] == ["count": 2])
            #expect(data["subscriber-new-latest"] == ["name": "bob", "amount": 1, "tier": "1000"])
            #expect(data["subscriber-resub-latest"] == ["name": "bob", "amount": 7, "message": "hi"])
            #expect(data["subscriber-alltime-gifter"] == ["name": "gina", "amount": 2])
        }
    }

    @Test func `values are set by hand, and nothing else`() async throws {
        try await Self.with { channel, _ in
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "ann", ["amount": 5]))
            let socket = try await channel.listen("channel.session.update")
            let set = try await channel.succeed(
                "PUT", "/sessions/*",
                [
                    "tip-goal": ["amount": 500], "tip-total": ["amount": 100], "tip-latest": ["name": ""],
                    "tip-recent": [],
                ])
            #expect(set["data"]?["tip-total"] == ["amount": 100, "count": 1])
            #expect(set["data"]?["tip-latest"] == ["name": ""] && set["data"]?["tip-recent"] == [])
            let said = try await socket.nextData(3).map(\.data)
            #expect(said.map { $0["key"]?.string } == ["tip-goal", "tip-latest", "tip-total"])
            #expect(said[0]["data"] == ["amount": 500] && said[0]["provider"] == "StreamElements")

            // Null says nothing, and what is as it was goes unsaid.
            #expect(
                try await channel.succeed("PUT", "/sessions/*", ["tip-total": ["count": nil]])["data"]?["tip-total"]
                    == ["amount": 100, "count": 1])
            _ = try await channel.succeed(
                "PUT", "/sessions/*", ["cheer-goal": ["amount": 0], "tip-goal": ["amount": 501]])
            #expect(try await socket.nextData(1)[0].data["data"] == ["amount": 501])

            let before = try await channel.succeed("GET", "/sessions/*")
            for (body, field): (JSON, String) in [
                ([:], "keys"), (["tip-nothing": ["amount": 1]], "tip-nothing"), (["tip-goal": 5], "tip-goal"),
                (["tip-goal": ["amount": -1]], "amount"), (["tip-recent": ["name": "x"]], "tip-recent"),
                (["tip-goal": ["amount": 1], "tip-latest": ["name": "a\0"]], "tip-latest"),
                (["tip-latest": ["name": .string(String(repeating: "x", count: 201))]], "name"),
                (["tip-latest": ["x": .string(String(repeating: "x", count: 2048))]], "tip-latest"),
                (["tip-goal": ["x": 1]], "tip-goal.x"), (["tip-total": ["count": 1.5]], "tip-total.count"),
            ] {
                let answer = try await channel.call("PUT", "/sessions/*", body)
                #expect(answer.status == 400, "\(body)")
                #expect(answer.body["message"]?.string?.contains(field) == true, "\(answer.body)")
            }
            #expect(try await channel.succeed("GET", "/sessions/*") == before)
        }
    }

    @Test func `a reset empties what is of the session, and says all that is left`() async throws {
        try await Self.with { channel, _ in
            // However much is in it, it fits into a client's buffer.
            let long = JSON.string(String(repeating: "x", count: 1000))
            for kind in ["tip", "cheer", "superchat", "subscriber", "raid", "merch", "purchase", "cheerPurchase"] {
                _ = try await channel.succeed(
                    "POST", "/activities/*",
                    Self.happens(
                        kind, "somebody_with_a_long_name",
                        ["amount": 9, "message": long, "avatar": long, "items": [long]]
                    ))
            }
            _ = try await channel.succeed("PUT", "/sessions/*/reset")
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "ann", ["amount": 5]))
            let socket = try await channel.listen("channel.session.reset")
            let reset = try await channel.succeed("PUT", "/sessions/*/reset")
            #expect(reset["data"]?["tip-session"] == ["amount": 0, "count": 0])
            #expect(reset["data"]?["tip-session-top-donator"] == ["name": "", "amount": 0])
            #expect(reset["data"]?["tip-week"] == ["amount": 14, "count": 2])
            #expect(reset["data"]?["tip-latest"]?["name"] == "ann")
            #expect(reset["sessionEventsCount"] == 0)

            let said = try await socket.nextData(1)[0].data
            let flat = said.object?.filter { $0.key != "session" } ?? [:]
            #expect(said["session"] == .object(flat))
            #expect(flat["tip-session"] == ["amount": 0, "count": 0] && flat["tip-latest"]?["name"] == "ann")
            #expect(said.bytes.count < 40_960 - 200)

            // The next one is the first, also for who has given most in it.
            let activity = try await channel.succeed(
                "POST", "/activities/*", Self.happens("tip", "bob", ["amount": 1]))
            #expect(activity["sessionEventsCount"] == 1)
            #expect(try await channel.session("tip-session-top-donator") == ["name": "bob", "amount": 1])
            #expect(
                try await channel.session("tip-alltime-top-donator")
                    == ["name": "somebody_with_a_long_name", "amount": 9])
        }
    }

    @Test func `a week that is over is empty, also where nothing happens`() async throws {
        try await Self.with { channel, url in
            for name in ["ann", "bob"] {
                _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", name, ["amount": 5]))
            }
            let socket = try await channel.listen("channel.session.update")
            try await Suite.query(
                url, schema: "stream_metrics", "UPDATE channels SET week_began = week_began - interval '1 week'")
            let said = try await socket.nextData(3).map(\.data)
            #expect(
                said.map { $0["key"]?.string } == ["tip-week", "tip-weekly-top-donation", "tip-weekly-top-donator"])
            #expect(said[0]["data"] == ["amount": 0, "count": 0])
            #expect(try await channel.session("tip-month") == ["amount": 10, "count": 2])

            // Whatever comes first finds it empty: an activity does not wait for the clock.
            try await Suite.query(
                url, schema: "stream_metrics",
                "UPDATE channels SET month_began = month_began - interval '1 month', week_began = week_began + interval '1 week'"
            )
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "cleo", ["amount": 1]))
            #expect(try await channel.session("tip-month") == ["amount": 1, "count": 1])
            #expect(try await channel.session("tip-monthly-top-donator") == ["name": "cleo", "amount": 1])
            #expect(try await channel.session("tip-total") == ["amount": 11, "count": 3])
        }
    }

    @Test func `weeks and months are those of the channel's time zone`() async throws {
        try await Self.with { channel, _ in
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "ann", ["amount": 5]))
            for (zone, hour) in [("Asia/Tokyo", "T15:00:00.000Z"), ("Etc/GMT+12", "T12:00:00.000Z")] {
                let settings = try await channel.succeed("PUT", "/sessions/*/settings", ["timezone": .string(zone)])
                #expect(settings == ["timezone": .string(zone), "resetAfterHours": 1])
                let session = try await channel.succeed("GET", "/sessions/*")
                #expect(session["settings"] == settings)
                for name in ["weekBegan", "monthBegan"] {
                    let began = try #require(session[name]?.string)
                    #expect(began.hasSuffix(hour), "\(zone) \(name) \(began)")
                }
                #expect(session["data"]?["tip-total"] == ["amount": 5, "count": 1])
            }
            #expect(
                try await channel.succeed("PUT", "/sessions/*/settings", ["resetAfterHours": nil])
                    == ["timezone": "Etc/GMT+12", "resetAfterHours": nil])
            #expect(
                try await channel.succeed("GET", "/sessions/*/settings")
                    == ["timezone": "Etc/GMT+12", "resetAfterHours": nil])
            for body: JSON in [
                ["timezone": "Mars/Olympus"], ["timezone": ""], ["resetAfterHours": 721], ["resetAfterHours": -1],
                ["week": 1], ["timezone": "localtime"], ["timezone": "posix/Asia/Tokyo"],
            ] {
                #expect(try await channel.call("PUT", "/sessions/*/settings", body).status == 400, "\(body)")
            }
        }
    }

    @Test func `in another time zone a week may be over already, and else it goes on`() async throws {
        try await Self.with { channel, url in
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("tip", "ann", ["amount": 5]))
            // As if the week had begun elsewhere, fourteen hours ago or a day later.
            for hours in [-14, 26] {
                try await Suite.query(
                    url, schema: "stream_metrics",
                    "UPDATE channels SET week_began = week_began + make_interval(hours => \(hours)::integer)")
                _ = try await channel.succeed("POST", "/activities/*", Self.happens("follow", "ann"))
                #expect(try await channel.session("tip-week") == ["amount": 5, "count": 1])
            }
            try await Suite.query(
                url, schema: "stream_metrics", "UPDATE channels SET week_began = week_began - interval '6 days'")
            _ = try await channel.succeed("PUT", "/sessions/*/settings", ["timezone": "Asia/Tokyo"])
            #expect(try await channel.session("tip-week") == ["amount": 0, "count": 0])
        }
    }

    @Test func `going live after a while offline begins a new session, a short break does not`() async throws {
        try await Self.with { channel, url in
            let streams = StreamsClient(channel.suite, token: channel.token)
            func broadcast() async throws {
                let stream = try await streams.create()
                try await streams.succeed("POST", "/\(stream)/start")
                try await streams.succeed("POST", "/\(stream)/stop")
                // What is gone was live all the same.
                try await streams.succeed("DELETE", "/\(stream)")
            }
            _ = try await channel.succeed("POST", "/activities/*", Self.happens("follow", "ann"))
            try await broadcast()
            try await broadcast()
            #expect(try await channel.session("follower-session") == ["count": 1])

            func wait(_ minutes: Int) async throws {
                try await Suite.query(
                    url, schema: "stream_metrics",
                    "UPDATE channels SET offline_since = offline_since - make_interval(mins => \(minutes)::integer)")
            }
            try await wait(59)
            try await broadcast()
            #expect(try await channel.session("follower-session") == ["count": 1])

            let socket = try await channel.listen("channel.stream.status", "channel.session.reset")
            try await wait(61)
            try await broadcast()
            let said = try await socket.nextData(3)
            #expect(said.map(\.topic) == ["channel.stream.status", "channel.session.reset", "channel.stream.status"])
            #expect(try await channel.session("follower-session") == ["count": 0])
            #expect(try await channel.session("follower-total") == ["count": 1])
        }
    }

    @Test func `many at once add up`() async throws {
        try await Self.with { channel, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<60 {
                    group.addTask {
                        let kind = index % 2 == 0 ? "tip" : "follow"
                        _ = try await channel.succeed(
                            "POST", "/activities/*", Self.happens(kind, "user-\(index % 6)", ["amount": 0.1]))
                    }
                }
                try await group.waitForAll()
            }
            let data = try #require(try await channel.succeed("GET", "/sessions/*")["data"])
            #expect(data["tip-total"] == ["amount": 3, "count": 30])
            #expect(data["follower-total"] == ["count": 30])
            #expect(data["tip-alltime-top-donator"]?["amount"] == 1)
            #expect(data["tip-recent"]?.array?.count == 25)
        }
    }
}
