import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Astro's REST resources (contract astro §10).
struct ChannelsAPI: Sendable {
    let activities: Activities
    let tips: Tips
    let sessions: Sessions
    let overlays: Overlays
    let topics: ChannelTopics

    func add(to router: Router<APIContext>) {
        let group = router.group("/kappa/v2")
        self.addIdentity(to: group)
        self.addTopics(to: group.group("/channels/:channel/topics"))
        ActivitiesAPI(activities: self.activities).add(to: group.group("/activities/:channel"))
        TipsAPI(tips: self.tips).add(to: group.group("/tips/:channel"))
        SessionsAPI(sessions: self.sessions).add(to: group.group("/sessions/:channel"))
        OverlaysAPI(overlays: self.overlays).add(to: group.group("/overlays/:channel"))
    }

    private func addIdentity(to group: RouterGroup<APIContext>) {
        group.get("/channels/:channel") { _, context in
            Response.json(Self.identity(try context.channel(of: try context.requirePrincipal())))
        }
        group.get("/users/current") { _, context in
            let principal = try context.requirePrincipal()
            let user: JSON = [
                "_id": .string(principal.subject), "username": .string(principal.name.lowercased()),
                "displayName": .string(principal.name), "primaryChannel": .string(principal.tenant),
                "channels": [Self.identity(principal.tenant)],
            ]
            return Response.json(user)
        }
    }

    private static func identity(_ channel: String) -> JSON {
        [
            "_id": .string(channel), "username": .string(channel.lowercased()),
            "alias": .string(channel.lowercased()), "displayName": .string(channel),
            "provider": .string(ActivityProvider.streamElements.rawValue),
        ]
    }

    private func addTopics(to group: RouterGroup<APIContext>) {
        let topics = self.topics
        group.post("/:topic") { request, context in
            let principal = try context.requirePrincipal()
            let name = try context.id("topic")
            guard let topic = ChannelTopic(rawValue: name) else {
                throw APIFailure(
                    .notFound,
                    "No such topic can be published; there are \(ChannelTopic.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            let channel = try context.channel(of: principal)
            try context.require(topic.scope, on: .channel)
            let data = try topic.data(try await request.decodeObject(context), of: channel)
            return Response.json(try await topics.say(data, on: topic, in: channel), status: .created)
        }
    }
}

extension APIContext {
    /// The channel that the path names: the credential's own, by its id, its lower-case name or `me`. Throws 403 for any other.
    func channel(of principal: Principal) throws -> String {
        let name = try self.id("channel")
        guard name == "me" || name == principal.tenant || name == principal.tenant.lowercased() else {
            throw APIFailure(.forbidden, "The credential is for another channel")
        }
        return principal.tenant
    }

    /// The same, of a credential that has the scope.
    func channel(with scope: Scope) throws -> String {
        try self.channel(of: try self.require(scope, on: .channel))
    }
}

extension Page {
    /// Astro's wrapper.
    static func docs(_ docs: [JSON], total: Int, limit: Int, offset: Int) -> JSON {
        [
            "docs": .array(docs), "total": .integer(Int64(total)), "limit": .integer(Int64(limit)),
            "offset": .integer(Int64(offset)),
        ]
    }

    /// How many entries, and how many are left out before them.
    func slice() throws(APIFailure) -> (limit: Int, offset: Int) {
        (
            try self.number("limit", 1...100, default: 25),
            try self.number("offset", 0...1_000_000, default: 0)
        )
    }
}
