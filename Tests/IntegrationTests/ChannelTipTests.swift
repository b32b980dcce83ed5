import Events
import TestSupport
import Testing

/// Tips: reported, moderated, counted (contract astro §5, §10).
@Suite("Channel tips", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ChannelTipTests {
    private static func with(_ body: (ChannelClient) async throws -> Void) async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in try await body(try await ChannelClient(suite)) }
    }

    private static func tip(
        _ name: String, _ amount: Double, _ currency: String = "USD", _ more: [String: JSON] = [:]
    ) -> JSON {
        .object(
            more.merging([
                "user": ["username": .string(name), "email": .string("\(name)@example.com"), "userId": "1"],
                "provider": "paypal", "message": "hello", "amount": JSON(amount), "currency": .string(currency),
            ]) { own, _ in own })
    }

    @Test func `a tip is said as a tip, as an activity and in the session`() async throws {
        try await Self.with { channel in
            let socket = try await channel.listen("channel.tips", "channel.activities", "channel.session.update")
            let tip = try await channel.succeed(
                "POST", "/tips/*", Self.tip("ann", 4.2, "usd", ["transactionId": "T1", "imported": "true"]))
            let id = try #require(tip["_id"]?.string)
            #expect(id.count == 24)
            #expect(tip["approved"] == "allowed" && tip["status"] == "success" && tip["provider"] == "paypal")
            #expect(tip["transactionId"] == "T1" && tip["approvedBy"] == nil && tip["imported"] == true)
            #expect(
                tip["donation"] == [
                    "user": [
                        "username": "ann", "email": "ann@example.com", "channel": .string(channel.channel),
                    ], "message": "hello", "amount": 4.2, "currency": "USD",
                ])
            let said = try await socket.nextData(3)
            #expect(said[0].topic == "channel.tips" && said[0].data == tip)
            #expect(said[1].topic == "channel.activities" && said[1].data["type"] == "tip")
            #expect(said[1].data["data"]?["tipId"] == .string(id) && said[1].data["data"]?["amount"] == 4.2)
            #expect(said[2].data["key"] == "tip-latest" && said[2].data["data"]?["message"] == "hello")
            #expect(try await channel.session("tip-total") == ["amount": 4.2, "count": 1])
            #expect(try await channel.succeed("GET", "/tips/*/\(id)") == tip)
        }
    }

    @Test func `a payment is a tip once, however often it is reported`() async throws {
        try await Self.with { channel in
            let body = Self.tip("ann", 5, "EUR", ["transactionId": "T1"])
            let first = try await channel.call("POST", "/tips/*", body)
            #expect(first.status == 201)
            let answers = try await withThrowingTaskGroup(of: (status: Int, body: JSON).self) { group in
                for _ in 0..<8 { group.addTask { try await channel.call("POST", "/tips/*", body) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 200 && $0.body == first.body })
            #expect(
                try await channel.call("POST", "/tips/*", Self.tip("ann", 6, "EUR", ["transactionId": "T1"])).status
                    == 409)
            #expect(try await channel.session("tip-count") == ["count": 1])
            #expect(try await channel.succeed("GET", "/tips/*")["total"] == 1)
            // Numbers as binary fractions have them are still the same ones.
            let odd = Self.tip("bob", 1.1 * 3, "EUR", ["transactionId": "T2"])
            let made = try await channel.call("POST", "/tips/*", odd)
            #expect(made.status == 201 && made.body["donation"]?["amount"] == JSON(1.1 * 3))
            let again = try await channel.call("POST", "/tips/*", odd)
            #expect(again.status == 200 && again.body == made.body)
            #expect(try await channel.session("tip-total") == ["amount": 8.3, "count": 2])
            // Another channel's transaction is its own.
            let other = try await ChannelClient(channel.suite)
            #expect(try await other.call("POST", "/tips/*", body).status == 201)
        }
    }

    @Test func `a moderated tip is shown when it is allowed, and never when it is rejected`() async throws {
        try await Self.with { channel in
            #expect(
                try await channel.succeed("PUT", "/tips/*/settings", ["moderation": true, "currency": "eur"])
                    == ["moderation": true, "currency": "EUR"])
            let moderation = try await channel.listen("channel.tips.moderation")
            let audience = try await channel.listen("channel.tips")
            let reader = try await ChannelClient(channel.suite, channel: channel.channel, scope: "tips:read")

            var ids: [String] = []
            for name in ["ann", "bob"] {
                let tip = try await channel.succeed("POST", "/tips/*", Self.tip(name, 5, "EUR"))
                #expect(tip["approved"] == "pending")
                ids.append(try #require(tip["_id"]?.string))
            }
            #expect(try await moderation.nextData(2).map { $0.data["approved"] } == ["pending", "pending"])
            #expect(try await reader.succeed("GET", "/tips/*")["docs"] == [])
            #expect(try await reader.call("GET", "/tips/*/\(ids[0])").status == 404)
            #expect(try await reader.call("GET", "/tips/*/moderation").status == 403)
            #expect(try await reader.call("PUT", "/tips/*/moderation/\(ids[0])", ["approved": "allowed"]).status == 403)
            #expect(try await channel.session("tip-count") == ["count": 0])

            let allowed = try await channel.succeed("PUT", "/tips/*/moderation/\(ids[0])", ["approved": "allowed"])
            #expect(allowed["approved"] == "allowed" && allowed["approvedBy"]?.string?.isEmpty == false)
            // Once more is the same, and said once.
            #expect(
                try await channel.succeed("PUT", "/tips/*/moderation/\(ids[0])", ["approved": "allowed"]) == allowed)
            #expect(
                try await channel.call("PUT", "/tips/*/moderation/\(ids[0])", ["approved": "rejected"]).status == 409)
            let rejected = try await channel.succeed("PUT", "/tips/*/moderation/\(ids[1])", ["approved": "rejected"])
            #expect(rejected["approved"] == "rejected")
            #expect(try await moderation.nextData(2).map(\.data) == [allowed, rejected])
            #expect(try await audience.nextData(1).map(\.data) == [allowed])
            #expect(try await channel.session("tip-total") == ["amount": 5, "count": 1])
            #expect(try await reader.succeed("GET", "/tips/*")["docs"] == [allowed])
            let recent = try await channel.succeed("GET", "/tips/*/moderation")
            #expect(recent["recent"] == [rejected, allowed] && recent["total"] == 2)
            #expect(try await channel.succeed("GET", "/tips/*/moderation?approved=rejected")["recent"] == [rejected])
            #expect(try await channel.call("PUT", "/tips/*/moderation/nothing", ["approved": "allowed"]).status == 404)
            #expect(try await channel.call("PUT", "/tips/*/moderation/\(ids[1])", ["approved": "maybe"]).status == 400)
            #expect(
                try await channel.call("PUT", "/tips/*/moderation/\(ids[1])", ["approved": "pending"]).status == 400)
        }
    }

    @Test func `tips are listed, filtered and ranked`() async throws {
        try await Self.with { channel in
            for (name, amount, currency) in [
                ("ann", 10.0, "USD"), ("bob", 15, "USD"), ("ann", 10.5, "USD"), ("cleo", 900, "JPY"),
            ] {
                _ = try await channel.succeed("POST", "/tips/*", Self.tip(name, amount, currency))
            }
            let page = try await channel.succeed("GET", "/tips/*?limit=2&offset=1")
            #expect(page["total"] == 4 && page["limit"] == 2 && page["offset"] == 1)
            #expect(page["docs"]?.array?.map { $0["donation"]?["amount"] } == [10.5, 15])
            #expect(try await channel.succeed("GET", "/tips/*?username=ann")["total"] == 2)
            #expect(try await channel.succeed("GET", "/tips/*?email=bob@example.com")["total"] == 1)
            #expect(try await channel.succeed("GET", "/tips/*?before=2020-01-01T00:00:00Z")["total"] == 0)
            #expect(try await channel.succeed("GET", "/tips/*?after=1577836800000")["total"] == 4)
            #expect(
                try await channel.succeed("GET", "/tips/*/leaderboard") == [
                    ["username": "ann", "amount": 20.5, "currency": "USD"],
                    ["username": "bob", "amount": 15, "currency": "USD"],
                ])
            let top = try await channel.succeed("GET", "/tips/*/top?limit=1").array ?? []
            #expect(top.count == 1 && top[0]["count"] == 2 && top[0]["total"] == 20.5 && top[0]["average"] == 10.25)
            #expect(
                try await channel.succeed("GET", "/tips/*/leaderboard?currency=jpy")
                    == [["username": "cleo", "amount": 900, "currency": "JPY"]])
            // What is in another currency is counted, and not added to the sum.
            #expect(try await channel.session("tip-total") == ["amount": 35.5, "count": 4])
            #expect(try await channel.session("tip-latest")?["currency"] == "JPY")
            #expect(try await channel.session("tip-alltime-top-donation") == ["name": "bob", "amount": 15])
        }
    }

    @Test func `what is no tip is refused, and nothing of it is kept`() async throws {
        try await Self.with { channel in
            let good = Self.tip("ann", 5).object ?? [:]
            for (member, value): (String, JSON) in [
                ("user", nil), ("user", "ann"), ("user", ["username": " "]), ("amount", 0), ("amount", -1),
                ("amount", "5"), ("amount", 1e13), ("currency", nil), ("currency", "€"), ("currency", "EURODOLLAR"),
                ("message", 5), ("message", "a\0"), ("provider", ""), ("transactionId", ""), ("imported", "yes"),
                ("message", .string(String(repeating: "x", count: 1001))),
            ] {
                let answer = try await channel.call(
                    "POST", "/tips/*", .object(good.merging([member: value]) { _, new in new }))
                #expect(answer.status == 400, "\(member) \(value)")
                #expect(answer.body["message"]?.string?.contains(member) == true, "\(answer.body)")
            }
            #expect(try await channel.succeed("GET", "/tips/*/moderation")["total"] == 0)
            let reader = try await ChannelClient(channel.suite, channel: channel.channel, scope: "tips:read")
            #expect(try await reader.call("POST", "/tips/*", Self.tip("ann", 5)).status == 403)
            #expect(try await reader.call("PUT", "/tips/*/settings", ["moderation": false]).status == 403)
            let reporter = try await ChannelClient(channel.suite, channel: channel.channel, scope: "tips:write")
            #expect(try await reporter.call("PUT", "/tips/*/settings", ["moderation": false]).status == 403)
            let stranger = try await ChannelClient(channel.suite)
            #expect(try await stranger.call("GET", "/tips/\(channel.channel)").status == 403)
            #expect(try await channel.call("GET", "/tips/*?limit=0").status == 400)
        }
    }
}
