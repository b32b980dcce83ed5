import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What viewers give (contract astro §10, tips).
struct TipsAPI: Sendable {
    let tips: Tips

    func add(to group: RouterGroup<APIContext>) {
        let tips = self.tips
        group.post { request, context in
            let channel = try context.channel(with: .tipsWrite)
            let draft = try TipDraft(try await request.decodeObject(context))
            let (tip, isNew) = try await tips.create(draft, in: channel)
            return Response.json(tip.json, status: isNew ? .created : .ok)
        }
        group.get { request, context in
            let channel = try context.channel(with: .tipsRead)
            let page = Page(request.uri.queryParameters)
            let slice = try page.slice()
            let (found, total) = try await tips.list(
                try Self.filter(page), in: channel, limit: slice.limit, offset: slice.offset)
            return Response.json(
                Page.docs(found.map(\.json), total: total, limit: slice.limit, offset: slice.offset))
        }
        group.get("/top") { request, context in
            let channel = try context.channel(with: .tipsRead)
            let givers = try await self.givers(Page(request.uri.queryParameters), in: channel)
            let found = givers.map { giver -> JSON in
                [
                    "username": .string(giver.username), "currency": .string(giver.currency),
                    "count": .integer(Int64(giver.count)), "total": JSON(giver.total),
                    "average": JSON(giver.total / Double(giver.count)), "first": .string(giver.first.iso8601),
                    "last": .string(giver.last.iso8601),
                ]
            }
            return Response.json(JSON.array(found))
        }
        group.get("/leaderboard") { request, context in
            let channel = try context.channel(with: .tipsRead)
            let givers = try await self.givers(Page(request.uri.queryParameters), in: channel)
            let found = givers.map { giver -> JSON in
                [
                    "username": .string(giver.username), "amount": JSON(giver.total),
                    "currency": .string(giver.currency),
                ]
            }
            return Response.json(JSON.array(found))
        }
        group.get("/:tip") { _, context in
            let principal = try context.require(.tipsRead, on: .channel)
            let channel = try context.channel(of: principal)
            let seesAll = principal.permits(.tipsModeration, on: .channel)
            return Response.json(try await tips.get(context.id("tip"), in: channel, seesAll: seesAll).json)
        }
        self.addModeration(to: group)
    }

    private func addModeration(to group: RouterGroup<APIContext>) {
        let tips = self.tips
        group.get("/settings") { _, context in
            Response.json(try await tips.settings(try context.channel(with: .tipsRead)))
        }
        group.put("/settings") { request, context in
            let channel = try context.channel(with: .tipsWrite)
            let settings = try TipSettings(try await request.decodeObject(context))
            // Whoever only reports tips cannot have them shown.
            if settings.moderation != nil { try context.require(.tipsModeration, on: .channel) }
            return Response.json(try await tips.change(settings, channel))
        }
        group.get("/moderation") { request, context in
            let channel = try context.channel(with: .tipsModeration)
            let page = Page(request.uri.queryParameters)
            let slice = try page.slice()
            var filter = try Self.filter(page)
            filter.approved =
                try page.choice("approved", of: Tip.Approval.self).map { [$0] } ?? Tip.Approval.allCases
            let (found, total) = try await tips.list(filter, in: channel, limit: slice.limit, offset: slice.offset)
            return Response.json(
                ["recent": .array(found.map(\.json)), "total": .integer(Int64(total))] as JSON)
        }
        group.put("/moderation/:tip") { request, context in
            let principal = try context.require(.tipsModeration, on: .channel)
            let channel = try context.channel(of: principal)
            let members = Members(try await request.decodeObject(context))
            try members.requireOnly(["approved"], "is not known here")
            let decision = try members.require(
                "approved", try members.choice("approved", of: Tip.Decision.self))
            return Response.json(
                try await tips.decide(context.id("tip"), decision, in: channel, by: principal.name).json)
        }
    }

    private func givers(_ page: Page, in channel: String) async throws -> [Tips.Giver] {
        let currency = try page.text("currency", 8)?.uppercased()
        return try await self.tips.givers(
            try Self.filter(page), in: channel, currency: currency,
            limit: try page.number("limit", 1...100, default: 25))
    }

    private static func filter(_ page: Page) throws(APIFailure) -> Tips.Filter {
        Tips.Filter(
            username: try page.text("username", 200), email: try page.text("email", 320),
            after: try page.moment("after"), before: try page.moment("before"))
    }
}
