import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What needs OBS Studio: contract source-saver §10, *OBS* and *Scenes*. The bridge has no link to OBS, and says so.
struct OBSAPI {
    private struct Status: Encodable {
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(false, forKey: .connected)
            for key in [CodingKeys.connectionId, .obsVersion, .websocketVersion, .lastConnected] {
                try container.encodeNil(forKey: key)
            }
        }

        private enum CodingKeys: String, CodingKey {
            case connected, connectionId, obsVersion, websocketVersion, lastConnected
        }
    }

    func add(to router: Router<APIContext>) {
        router.get("/api/obs/status") { _, context in
            _ = try context.require(.obsRead)
            return Response.json(Status())
        }
        for path in ["connect", "reconnect"] {
            router.post("/api/obs/\(path)") { _, context -> Response in
                _ = try context.require(.obsSources)
                throw APIFailure(
                    .internalServerError, "Failed to connect to OBS: this version of obs-bridge has no OBS connection")
            }
        }
        for path in ["/api/obs/**", "/api/scenes/**"] {
            router.get(RouterPath(path)) { _, context in try Self.refuse(context, .obsRead) }
            router.post(RouterPath(path)) { _, context in try Self.refuse(context, .obsSources) }
            router.put(RouterPath(path)) { _, context in try Self.refuse(context, .obsSources) }
            router.delete(RouterPath(path)) { _, context in try Self.refuse(context, .obsSources) }
        }
    }

    private static func refuse(_ context: APIContext, _ scope: Scope) throws -> Response {
        _ = try context.require(scope)
        throw APIFailure(.serviceUnavailable, "OBS is not connected. Please connect to OBS first.")
    }
}
