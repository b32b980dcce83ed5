import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Astro's REST resources (contract astro §10) for channels and their activities.
struct ChannelsAPI: Sendable {
    let activities: Activities

    func add(to router: Router<APIContext>) {
        let group = router.group("/kappa/v2")
        group.get("/channels/:channel") { _, context in
            let channel = try Self.channel(context, try context.requirePrincipal())
            let identity: JSON = [
                "_id": .string(channel), "username": .string(channel.lowercased()),
                "alias": .string(channel.lowercased()),
                "displayName": .string(channel),
            ]
            return Response.json(identity)
        }
        self.addActivities(to: group.group("/activities/:channel"))
    }

    private func addActivities(to group: RouterGroup<APIContext>) {
        let activities = self.activities
        group.post { request, context in
            let channel = try Self.channel(context, try context.require(.activitiesWrite))
            let draft = try ActivityDraft(try await request.decodeObject(context))
            return Response.json(try await activities.create(draft, tenant: channel), status: .created)
        }
        group.get { request, context in
            let channel = try Self.channel(context, try context.require(.activitiesRead))
            let page = Page(request.uri.queryParameters)
            let found = try await activities.list(
                tenant: channel, limit: try page.number("limit", 1...100, default: 25),
                offset: try page.number("offset", 0...1_000_000, default: 0), after: try page.moment("after"),
                before: try page.moment("before"))
            return Response.json(found)
        }
        group.get("/:activity") { _, context in
            let channel = try Self.channel(context, try context.require(.activitiesRead))
            return Response.json(try await activities.get(context.id("activity"), tenant: channel))
        }
        group.post("/:activity/replay") { _, context in
            let channel = try Self.channel(context, try context.require(.activitiesWrite))
            return Response.json(try await activities.replay(context.id("activity"), tenant: channel))
        }
    }

    /// The channel that the path names: the credential's own, by its id, its lower-case name or `me`. Throws 403 for any other.
    private static func channel(_ context: APIContext, _ principal: Principal) throws -> String {
        let name = try context.id("channel")
        guard name == "me" || name == principal.tenant || name == principal.tenant.lowercased() else {
            throw APIFailure(.forbidden, "The credential is for another channel")
        }
        return principal.tenant
    }
}
