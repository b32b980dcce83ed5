import Access
import DomainService
import Events
import ForeignMessages
import Foundation
import HTTPTypes
import Hummingbird
import ServiceKit

/// Which OBS a request is about: `/api/obs/connections/{name}/…` names it, everything else means the tenant's default connection.
struct OBSTarget: Sendable {
    let connections: OBSConnections
    let keepers: ConnectionKeepers

    /// Every path is under both.
    static let prefixes = ["/api/obs", "/api/obs/connections/:connection"]
    static let scenePrefixes = ["/api/scenes", "/api/obs/connections/:connection/scenes"]

    func name(_ context: APIContext) -> String {
        context.parameters.get("connection") ?? OBSConnection.defaultName
    }

    /// Who may read there. Throws 401 and 403.
    func reader(_ context: APIContext) throws(APIFailure) -> Principal {
        try context.require(.obsRead, on: .obsConnection(self.name(context)))
    }

    /// Its keeper. Throws 404 for a name that no connection has; `nil`: there is no default connection.
    func keeper(_ context: APIContext, _ principal: Principal) async throws -> ConnectionKeeper? {
        let name = self.name(context)
        if let keeper = self.keepers.all(tenant: principal.tenant).first(where: { $0.connection.name == name }) {
            return keeper
        }
        guard name != OBSConnection.defaultName else { return nil }
        // The keeper may not have begun; a connection that is not there is another matter.
        _ = try await self.connections.find(name, tenant: principal.tenant)
        return nil
    }

    /// Reads a request. One that is not valid hears first that OBS is not there, if so.
    func reading<R>(_ context: APIContext, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch let failure as APIFailure where failure.status == .badRequest {
            _ = try await self.studio(context, try context.requirePrincipal())
            throw failure
        }
    }

    /// Its studio. Throws 404, and 503 while it is not connected.
    func studio(_ context: APIContext, _ principal: Principal) async throws -> Studio {
        guard let studio = try await self.keeper(context, principal)?.status.studio else {
            throw OBSFailure.notConnected.apiFailure
        }
        return studio
    }
}

extension APIContext {
    /// A source's id, as it stands in the path: whatever it is, a source that is not there is not found.
    var placedSourceID: String {
        get throws(APIFailure) {
            guard let id = self.parameters.get("sourceId")?.removingPercentEncoding, !id.utf8.contains(0) else {
                throw Sources.notFound
            }
            return id
        }
    }

    /// A part of the path, percent-decoded. Throws 400 for what is no text.
    func text(_ name: String) throws(APIFailure) -> String {
        guard let text = self.parameters.get(name)?.removingPercentEncoding, !text.utf8.contains(0) else {
            throw APIFailure(.badRequest, "Validation failed: \(name) is not a valid name")
        }
        return text
    }
}
