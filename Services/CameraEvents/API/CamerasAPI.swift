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
            let principal = try context.require(.camerasRead)
            let all = try await cameras.all(tenant: principal.tenant)
            return Response.json(["cameras": all.map { $0.answer(for: principal) }])
        }
        router.post("/v1/cameras") { request, context in
            let principal = try context.require(.camerasWrite)
            let draft = try CameraDraft(try await request.decodeObject(context))
            let camera = try await cameras.create(draft, tenant: principal.tenant)
            return Response.json(camera.answer(for: principal), status: .created)
        }
        router.get("/v1/cameras/:id") { _, context in
            let principal = try context.require(.camerasRead)
            let camera = try await cameras.camera(try context.parameters.require("id"), tenant: principal.tenant)
            return Response.json(camera.answer(for: principal))
        }
        router.patch("/v1/cameras/:id") { request, context in
            let principal = try context.require(.camerasWrite)
            let draft = try CameraDraft(try await request.decodeObject(context))
            let id = try context.parameters.require("id")
            return Response.json(try await cameras.change(id, draft, tenant: principal.tenant).answer(for: principal))
        }
        router.delete("/v1/cameras/:id") { _, context in
            let principal = try context.require(.camerasWrite)
            try await cameras.delete(try context.parameters.require("id"), tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }
}
