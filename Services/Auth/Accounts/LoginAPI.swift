import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Grimnir's sign-in (contract grimnir §9): an access token for 15 minutes, and another one for its refresh token, or for itself.
struct LoginAPI {
    let users: Users
    let sessions: Sessions

    private static let loginPath = "/api/v1/auth/login"
    private static let refreshPath = "/api/v1/auth/refresh"
    /// Where errors are Grimnir's.
    static let paths: Set = [Self.loginPath, Self.refreshPath]

    private static let invalid = APIFailure(.badRequest, code: "invalid_json", "The body is not what is expected")
    private static let denied = APIFailure(
        .forbidden, code: "station_access_denied", "The user has no role at that station")

    private struct Answer: Encodable {
        let access_token: String
        var token_type = "Bearer"
        let expires_in: Int
        let refresh_token: String

        init(_ issued: Sessions.Issued) {
            self.access_token = issued.accessToken
            self.expires_in = issued.expiresIn
            self.refresh_token = issued.refreshToken
        }
    }

    func add(to router: Router<APIContext>) {
        router.post(RouterPath(Self.loginPath)) { request, context in
            let members = try await Self.members(request, ["email", "password", "station_id"], context)
            return Response.secret(Answer(try await self.logIn(members, context.clientAddress)), status: .ok)
        }
        router.post(RouterPath(Self.refreshPath)) { request, context in
            Response.secret(Answer(try await self.refresh(request, context)), status: .ok)
        }
    }

    private func logIn(_ members: Members, _ address: String) async throws -> Sessions.Issued {
        let email = try Self.text(members, "email", bytes: 254)
        let password = try Self.text(members, "password", bytes: Password.length.upperBound, anyCharacter: true)
        let station = try Self.text(members, "station_id", bytes: 64)
        guard let email, let password else {
            throw APIFailure(.badRequest, code: "email_and_password_required", "email and password are required")
        }
        let user = try await self.users.authenticate(email: email, password: password, address: address)
        guard let standing = user.grant(in: nil, station: station) else { throw Self.denied }
        do {
            return try await self.sessions.begin(
                user, tenant: standing.tenant, station: station, scopes: standing.scopes, address: address)
        } catch let failure as APIFailure where failure.status == .forbidden {
            // Something was taken away from them since they were asked for their password.
            throw Users.invalidCredentials
        }
    }

    private func refresh(_ request: Request, _ context: APIContext) async throws -> Sessions.Issued {
        let device = Device(address: context.clientAddress, userAgent: request.headers[.userAgent])
        // An old client sends its bearer token and no body.
        let members =
            try await request.hasBody ? Self.members(request, ["refresh_token"], context) : Members([:])
        do {
            if let token = try Self.text(members, "refresh_token", bytes: 256) {
                return try await self.sessions.refresh(token, client: nil, from: device)
            }
            guard let principal = context.principal, principal.credential != .anonymous else {
                throw Self.unauthorized
            }
            return try await self.sessions.refresh(presenting: principal, from: device)
        } catch let failure as APIFailure where failure.code == "invalid_grant" {
            throw Self.unauthorized
        }
    }

    private static let unauthorized = APIFailure(
        .unauthorized, "The session is unknown or over", headers: [.wwwAuthenticate: "Bearer"])

    private static func members(
        _ request: Request, _ names: Set<String>, _ context: APIContext
    ) async throws -> Members {
        do {
            let members = Members(try await request.decodeObject(context))
            try members.requireOnly(names, "is not known here")
            return members
        } catch let failure as APIFailure where failure.status == .badRequest {
            throw Self.invalid
        }
    }

    /// One that is empty counts as left out, as in Go.
    private static func text(_ members: Members, _ name: String, bytes: Int, anyCharacter: Bool = false)
        throws(APIFailure) -> String?
    {
        do {
            let text = try members.text(name, "is too long") { text in
                text.utf8.count <= bytes
                    && (anyCharacter || !text.unicodeScalars.contains { $0.properties.generalCategory == .control })
            }
            return text.flatMap { $0.isEmpty ? nil : $0 }
        } catch {
            throw Self.invalid
        }
    }
}

extension Request {
    /// Whether anything follows the head.
    fileprivate var hasBody: Bool {
        self.headers[.transferEncoding] != nil || self.headers[.contentLength].map { $0 != "0" } ?? false
    }
}
