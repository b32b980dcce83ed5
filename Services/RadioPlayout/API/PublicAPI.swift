import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What listeners may ask without a credential (contract grimnir §9). Without one it is about the default tenant.
struct PublicAPI {
    let stations: Stations
    let plays: Plays

    func add(to router: Router<APIContext>) {
        router.get("/api/v1/health") { _, _ in Response.json(["status": "ok"]) }
        router.get("/api/v1/public/stations") { _, context in
            let listed = try await self.stations.listed(tenant: Self.tenant(context))
            return Response.json(listed.map { station, mounts in station.publicAnswer(mounts: mounts) })
        }
        for path: RouterPath in ["/api/v1/public/now-playing", "/api/v1/analytics/now-playing"] {
            router.get(path) { request, context in try await self.nowPlaying(request, context) }
        }
    }

    private func nowPlaying(_ request: Request, _ context: APIContext) async throws -> Response {
        guard let id = request.uri.queryParameters["station_id"], !id.isEmpty else {
            throw APIFailure(.badRequest, code: "station_id_required", "station_id is required")
        }
        let station = try await self.stations.find(String(id), tenant: Self.tenant(context))
        guard let station, Self.maySee(station, context.principal) else { throw Stations.unknown }
        let play = try await self.plays.current(on: station)
        return Response.json(play?.answer(at: .now) ?? Play.idle)
    }

    private static func tenant(_ context: APIContext) -> String { context.principal?.tenant ?? Principal.defaultTenant }

    /// A station that is not public is there for its members only.
    private static func maySee(_ station: Station, _ principal: Principal?) -> Bool {
        if station.isPublic, station.isActive { return true }
        return principal?.permits(.radioRead, on: .station(station.id)) ?? false
    }
}
