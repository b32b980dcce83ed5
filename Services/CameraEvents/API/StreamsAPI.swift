import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `/v1/cameras/{id}/stream` (contract airys §10): the same as the dialect's `stream_control`.
struct StreamsAPI {
    let streams: CameraStreams

    func add(to router: Router<APIContext>) {
        let streams = self.streams
        router.get("/v1/cameras/:id/stream") { _, context in
            let principal = try context.require(.camerasRead)
            return Response.json(
                try await streams.status(of: try context.parameters.require("id"), tenant: principal.tenant))
        }
        router.post("/v1/cameras/:id/stream") { request, context in
            let principal = try context.requirePrincipal()
            let body = try await request.decodeObject(context)
            guard let action = body["action"]?.string else {
                throw APIFailure(.badRequest, code: "INVALID_ACTION", "action is required")
            }
            let status = try await streams.control(
                try context.parameters.require("id"), action: action, settings: body["settings"], by: principal)
            return Response.json(status, status: .accepted)
        }
    }
}
