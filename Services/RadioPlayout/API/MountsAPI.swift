import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird

/// `/api/v1/stations/{id}/mounts` (contract grimnir §9).
struct MountsAPI {
    let stations: Stations

    func add(to router: Router<APIContext>) {
        let stations = self.stations
        router.get("/api/v1/stations/:id/mounts") { _, context in
            let (station, _) = try await stations.station(context, .radioRead)
            return Response.json(try await stations.mounts(of: station).map(\.answer))
        }
        router.post("/api/v1/stations/:id/mounts") { request, context in
            let (station, principal) = try await stations.station(context, .radioWrite)
            let draft = try MountDraft(try await request.decodeObject(context))
            return Response.json(
                try await stations.addMount(draft, to: station, by: principal).answer, status: .created)
        }
    }
}
