import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What happens in a channel (contract astro §10, activities).
struct ActivitiesAPI: Sendable {
    let activities: Activities

    func add(to group: RouterGroup<APIContext>) {
        let activities = self.activities
        group.post { request, context in
            let channel = try context.channel(with: .activitiesWrite)
            let draft = try ActivityDraft(try await request.decodeObject(context))
            return Response.json(try await activities.create(draft, tenant: channel), status: .created)
        }
        group.get { request, context in
            let channel = try context.channel(with: .activitiesRead)
            let page = Page(request.uri.queryParameters)
            let slice = try page.slice()
            let found = try await activities.list(
                tenant: channel, kinds: try page.choices("types", of: ActivityKind.self), limit: slice.limit,
                offset: slice.offset, after: try page.moment("after"), before: try page.moment("before"))
            return Response.json(found)
        }
        group.get("/:activity") { _, context in
            let channel = try context.channel(with: .activitiesRead)
            return Response.json(try await activities.get(context.id("activity"), tenant: channel))
        }
        group.post("/:activity/replay") { _, context in
            let channel = try context.channel(with: .activitiesWrite)
            return Response.json(try await activities.replay(context.id("activity"), tenant: channel))
        }
    }
}
