import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Whose credentials an asker may see and revoke: with `auth:admin` everybody's; otherwise those of their own tenant that are
/// for no other stations than theirs, and no administrator's.
struct Authority {
    private let isAdmin: Bool
    private let tenant: String
    private let stations: [String]?

    init(_ principal: Principal) {
        self.isAdmin = principal.scopes.contains(.authAdmin)
        self.tenant = principal.tenant
        self.stations = principal.stations?.sorted()
    }

    /// A condition on a row of `api_keys`, `access_tokens` or `oauth_clients`.
    var covers: Query {
        """
        (\(self.isAdmin) OR (tenant = \(self.tenant) AND NOT 'auth:admin' = ANY (string_to_array(scope, ' '))
            AND (\(self.stations)::text[] IS NULL OR stations <@ \(self.stations)::text[])))
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
