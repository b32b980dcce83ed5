import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird

/// `/api/v1/stations` (contract grimnir §9).
struct StationsAPI {
    let stations: Stations

    func add(to router: Router<APIContext>) {
        let stations = self.stations
        router.get("/api/v1/stations") { _, context in
            let principal = try context.requireSomewhere(.radioRead)
            return Response.json(try await stations.all(for: principal).map(\.answer))
        }
        router.post("/api/v1/stations") { request, context in
            let principal = try context.requireSomewhere(.radioWrite)
            guard principal.permits(.radioWrite, on: .channel) else { throw Stations.denied }
            let draft = try StationDraft(try await request.decodeObject(context))
            return Response.json(try await stations.create(draft, by: principal).answer, status: .created)
        }
        router.get("/api/v1/stations/:id") { _, context in
            return Response.json(try await stations.station(context, .radioRead).station.answer)
        }
        router.patch("/api/v1/stations/:id") { request, context in
            let (station, principal) = try await stations.station(context, .radioWrite)
            let draft = try StationDraft(try await request.decodeObject(context))
            return Response.json(try await stations.change(station, draft, by: principal).answer)
        }
    }
}

extension Stations {
    /// The station that a path names, and who asks. Throws 401 and 403, and 404 for an unknown station or another tenant's.
    func station(_ context: APIContext, _ scope: Scope) async throws -> (station: Station, principal: Principal) {
        let principal = try context.requireSomewhere(scope)
        return (try await self.station(try context.parameters.require("id"), scope, for: principal), principal)
    }
}
