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
            let principal = try context.require(.radioRead)
            return Response.json(try await stations.all(for: principal).map(\.answer))
        }
        router.post("/api/v1/stations") { request, context in
            let principal = try context.require(.radioWrite)
            let draft = try StationDraft(try await request.decodeObject(context))
            return Response.json(try await stations.create(draft, by: principal).answer, status: .created)
        }
        router.get("/api/v1/stations/:id") { _, context in
            let principal = try context.require(.radioRead)
            return Response.json(
                try await stations.station(try context.parameters.require("id"), for: principal).answer)
        }
        router.patch("/api/v1/stations/:id") { request, context in
            let principal = try context.require(.radioWrite)
            let draft = try StationDraft(try await request.decodeObject(context))
            let station = try await stations.change(try context.parameters.require("id"), draft, by: principal)
            return Response.json(station.answer)
        }
    }
}
