import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Whose credentials an asker may see and revoke: with `auth:admin` everybody's; otherwise those of their own tenant that are
/// limited to the same rooms, if they are limited, and no administrator's.
struct Authority {
    private let isAdmin: Bool
    private let tenant: String
    private let limits: RoomLimits?

    init(_ principal: Principal) {
        self.isAdmin = principal.administersAuth
        self.tenant = principal.tenant
        self.limits = principal.limits
    }

    /// A condition on a row of `api_keys` or `access_tokens`.
    var covers: Query {
        let rooms = RoomLists(self.limits)
        return self.covers(
            within: """
                num_nonnulls(stations, streams, cameras, obs_connections) > 0
                    AND coalesce(stations, '{}') <@ \(rooms.stations ?? [])::text[]
                    AND coalesce(streams, '{}') <@ \(rooms.streams ?? [])::text[]
                    AND coalesce(cameras, '{}') <@ \(rooms.cameras ?? [])::text[]
                    AND coalesce(obs_connections, '{}') <@ \(rooms.obsConnections ?? [])::text[]
                """)
    }

    /// A condition on a row of `oauth_clients`, which are limited to stations only.
    var coversClients: Query {
        self.covers(within: "stations <@ \(RoomLists(self.limits).stations ?? [])::text[]")
    }

    private func covers(within limits: Query) -> Query {
        """
        (\(self.isAdmin) OR (tenant = \(self.tenant) AND NOT 'auth:admin' = ANY (string_to_array(scope, ' '))
            AND (\(self.limits == nil) OR (\(limits)))))
        """
    }

    /// Whose list is asked for: the asker's own tenant's, unless `?tenant=` names another. Throws 403, and 400 for what is no tenant.
    func tenant(of request: Request) throws(APIFailure) -> String {
        guard let asked = request.uri.queryParameters["tenant"].map(String.init) else { return self.tenant }
        guard asked == self.tenant || self.isAdmin else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        guard Grant.isName(asked) else {
            throw APIFailure(.badRequest, "tenant is not valid", details: ["field": "tenant"])
        }
        return asked
    }
}
