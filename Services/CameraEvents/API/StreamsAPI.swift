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
            let (id, principal) = try context.camera(.camerasRead)
            return Response.json(try await streams.status(of: id, tenant: principal.tenant))
        }
        router.post("/v1/cameras/:id/stream") { request, context in
            let id = try context.parameters.require("id")
            let principal = try context.requirePrincipal()
            // Which of the two is needed depends on the action.
            guard [Scope.camerasRead, .camerasControl].contains(where: { principal.permits($0, on: .camera(id)) })
            else {
                throw APIFailure(lacking: .camerasControl, principal)
            }
            let body = try await request.decodeObject(context)
            guard let action = body["action"]?.string else {
                throw APIFailure(.badRequest, code: "INVALID_ACTION", "action is required")
            }
            let status = try await streams.control(
                id, action: action, settings: body["settings"], by: principal)
            return Response.json(status, status: .accepted)
        }
    }
}
