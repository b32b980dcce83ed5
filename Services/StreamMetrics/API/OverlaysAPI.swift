import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// A channel's overlays (contract astro §10, overlays).
struct OverlaysAPI: Sendable {
    let overlays: Overlays

    func add(to group: RouterGroup<APIContext>) {
        self.addResources(to: group)
        self.addCommands(to: group)
    }

    private func addResources(to group: RouterGroup<APIContext>) {
        let overlays = self.overlays
        group.post { request, context in
            let channel = try context.channel(with: .overlaysWrite)
            let draft = try OverlayDraft(try await request.decodeObject(context))
            return Response.json(try await overlays.create(draft, in: channel).json, status: .created)
        }
        group.get { request, context in
            let channel = try context.channel(with: .overlaysRead)
            let page = Page(request.uri.queryParameters)
            let slice = try page.slice()
            let search = try page.text("search", 200)?.trimmingPrefix(" ") ?? ""
            let (found, total) = try await overlays.list(
                in: channel, type: try page.text("type", 32), search: String(search), limit: slice.limit,
                offset: slice.offset)
            // Whole ones, of half a megabyte each, are for who asks for one.
            let docs = found.map { JSON.object(($0.json.object ?? [:]).filter { $0.key != "widgets" }) }
            return Response.json(Page.docs(docs, total: total, limit: slice.limit, offset: slice.offset))
        }
        group.get("/:overlay") { _, context in
            let channel = try context.channel(with: .overlaysRead)
            return Response.json(try await overlays.get(context.id("overlay"), in: channel).json)
        }
        group.put("/:overlay") { request, context in
            let channel = try context.channel(with: .overlaysWrite)
            let body = try await request.decodeObject(context)
            return Response.json(try await overlays.change(context.id("overlay"), body, in: channel).json)
        }
        group.delete("/:overlay") { _, context in
            let channel = try context.channel(with: .overlaysWrite)
            try await overlays.delete(context.id("overlay"), in: channel)
            return Response(status: .noContent)
        }
    }

    private func addCommands(to group: RouterGroup<APIContext>) {
        let overlays = self.overlays
        group.put("/reload") { _, context in
            Response.json(try await overlays.act(.reload, in: try context.channel(with: .overlaysWrite)))
        }
        group.put("/action/:action") { _, context in
            let channel = try context.channel(with: .overlaysWrite)
            guard let action = OverlayAction(rawValue: try context.id("action")) else {
                throw APIFailure(
                    .badRequest,
                    "action must be one of \(OverlayAction.allCases.map(\.rawValue).joined(separator: ", "))",
                    details: ["field": "action"])
            }
            return Response.json(try await overlays.act(action, in: channel))
        }
        group.post("/broadcast") { request, context in
            let channel = try context.channel(with: .overlaysBroadcast)
            let broadcast = try OverlayBroadcast(try await request.decodeObject(context))
            return Response.json(try await overlays.broadcast(broadcast, in: channel), status: .created)
        }
    }
}
