import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird

/// `/v1/cameras` (contract airys §10).
struct CamerasAPI {
    let cameras: Cameras

    func add(to router: Router<APIContext>) {
        let cameras = self.cameras
        router.get("/v1/cameras") { _, context in
            let principal = try context.requireSomewhere(.camerasRead)
            let all = try await cameras.all(tenant: principal.tenant)
                .filter { principal.permits(.camerasRead, on: .camera($0.id)) }
            return Response.json(["cameras": all.map { $0.answer(for: principal) }])
        }
        router.post("/v1/cameras") { request, context in
            let principal = try context.require(.camerasWrite, on: .channel)
            let draft = try CameraDraft(try await request.decodeObject(context))
            let camera = try await cameras.create(draft, tenant: principal.tenant)
            return Response.json(camera.answer(for: principal), status: .created)
        }
        router.get("/v1/cameras/:id") { _, context in
            let (id, principal) = try context.camera(.camerasRead)
            let camera = try await cameras.camera(id, tenant: principal.tenant)
            return Response.json(camera.answer(for: principal))
        }
        router.patch("/v1/cameras/:id") { request, context in
            let (id, principal) = try context.camera(.camerasWrite)
            let draft = try CameraDraft(try await request.decodeObject(context))
            return Response.json(try await cameras.change(id, draft, tenant: principal.tenant).answer(for: principal))
        }
        router.delete("/v1/cameras/:id") { _, context in
            let (id, principal) = try context.camera(.camerasWrite)
            try await cameras.delete(id, tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }
}

extension APIContext {
    /// The camera that a path names, for whoever has the scope there. Throws 401 and 403.
    func camera(_ scope: Scope) throws -> (id: String, principal: Principal) {
        let id = try self.parameters.require("id")
        return (id, try self.require(scope, on: .camera(id)))
    }
}
