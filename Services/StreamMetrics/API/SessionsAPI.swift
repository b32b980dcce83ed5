import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What overlays show of a channel (contract astro §10, sessions).
struct SessionsAPI: Sendable {
    let sessions: Sessions

    func add(to group: RouterGroup<APIContext>) {
        let sessions = self.sessions
        group.get { _, context in
            Response.json(try await sessions.get(try context.channel(with: .sessionRead)))
        }
        group.put { request, context in
            let channel = try context.channel(with: .sessionWrite)
            return Response.json(
                try await sessions.set(try SessionPatch(try await request.decodeObject(context)), channel))
        }
        group.put("/reset") { _, context in
            Response.json(try await sessions.reset(try context.channel(with: .sessionWrite)))
        }
        group.get("/settings") { _, context in
            Response.json(try await sessions.settings(try context.channel(with: .sessionRead)))
        }
        group.put("/settings") { request, context in
            let channel = try context.channel(with: .sessionWrite)
            let patch = try SessionSettingsPatch(try await request.decodeObject(context))
            return Response.json(try await sessions.change(patch, channel))
        }
    }
}
