import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `/v1/cameras/{id}/detections` (contract airys §10): analysers put them in, one or up to a hundred at a time.
struct DetectionsAPI {
    let cameras: Cameras
    let detections: Detections

    private static let batchMax = 100

    func add(to router: Router<APIContext>) {
        router.get("/v1/cameras/:id/detections") { request, context in
            let (id, principal) = try context.camera(.camerasRead)
            let camera = try await self.cameras.camera(id, tenant: principal.tenant)
            let limit = try Self.number("limit", request, 1...1000) ?? 100
            let since = try Self.number("since", request, 0...DetectionDraft.timeMax) ?? 0
            let found = try await self.detections.latest(limit, of: camera, since: Int64(since))
            return Response.json(["detections": found])
        }
        router.post("/v1/cameras/:id/detections") { request, context in
            let (id, principal) = try context.camera(.camerasWrite)
            let camera = try await self.cameras.camera(id, tenant: principal.tenant)
            let body = try await request.decodeJSON(JSON.self, context)
            let drafts = try Self.drafts(body, camera: camera)
            let faces = try await self.detections.add(drafts, to: camera, tenant: principal.tenant)
            if body.array == nil { return Response.json(faces[0], status: .created) }
            return Response.json(["detections": faces], status: .created)
        }
    }

    private static func drafts(_ body: JSON, camera: Camera) throws(APIFailure) -> [DetectionDraft] {
        guard camera.isEnabled else { throw APIFailure(.conflict, code: "CAMERA_DISABLED", "The camera is disabled") }
        let items = body.array ?? [body]
        guard (1...Self.batchMax).contains(items.count) else {
            throw APIFailure(.badRequest, "1 to \(Self.batchMax) detections are taken at a time")
        }
        let now = Timestamp.now
        var drafts: [DetectionDraft] = []
        for item in items { drafts.append(try DetectionDraft(item, camera: camera.id, now: now)) }
        return drafts
    }

    private static func number(
        _ name: String, _ request: Request, _ range: ClosedRange<Int>
    ) throws(APIFailure) -> Int? {
        guard let text = request.uri.queryParameters[name[...]] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw APIFailure(
                .badRequest, "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
