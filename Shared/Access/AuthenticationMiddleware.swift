public import Events
import HTTPTypes
public import Hummingbird
import Logging
import Peers
public import ServiceKit

/// How a credential is judged: auth answers from its own tables, everybody else asks auth.
public typealias Authenticate =
    @Sendable (_ token: String, _ remoteAddress: String?) async throws(AccessError) -> Principal

/// Finds out who sends a request. A credential that is not valid is refused whatever the request is; a request without one goes on
/// without a principal, and each route says what it needs.
public struct AuthenticationMiddleware: RouterMiddleware {
    private let authenticate: Authenticate
    private let anonymous: Principal?
    private let trustedProxies: TrustedProxies

    /// - Parameter anonymous: who a local client without a credential is (`LocalClientPolicy`); `nil`: nobody.
    public init(authenticate: @escaping Authenticate, anonymous: Principal?, trustedProxies: TrustedProxies) {
        self.authenticate = authenticate
        self.anonymous = anonymous
        self.trustedProxies = trustedProxies
    }

    private static let apiKeyHeader = HTTPField.Name("X-API-Key")

    public func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.clientAddress = self.trustedProxies.client(context.peer, forwardedFor: Self.forwardedFor(request))
        switch Self.credential(request) {
        case .token(let token):
            do {
                context.principal = try await self.authenticate(token, context.clientAddress)
            } catch {
                throw Self.failure(error)
            }
            return try await Self.challenging { try await next(request, context) }
        case .none:
            if let reason = Self.reasonNotLocal(request, context) {
                context.logger.debug("Client is not local", metadata: ["reason": "\(reason)"])
            } else {
                context.isLocal = true
                context.principal = self.anonymous
            }
        case .foreign: break
        }
        return try await next(request, context)
    }

    /// Whatever is forbidden to a token's holder needs more than the token gives (RFC 6750 §3.1).
    private static func challenging(_ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch var failure as APIFailure where failure.status == .forbidden {
            if failure.headers[.wwwAuthenticate] == nil {
                failure.headers[.wwwAuthenticate] = "Bearer error=\"insufficient_scope\""
            }
            throw failure
        }
    }

    private static func failure(_ error: AccessError) -> APIFailure {
        switch error {
        case .unavailable: .unavailable("Credentials cannot be verified at the moment")
        case .limited(let seconds):
            APIFailure(
                .tooManyRequests, "Too many wrong credentials from this address", headers: [.retryAfter: "\(seconds)"])
        case .invalid:
            APIFailure(.unauthorized, "Unauthorized", headers: [.wwwAuthenticate: "Bearer error=\"invalid_token\""])
        }
    }

    private enum Presented {
        case none
        case token(String)
        /// In a scheme that is not ours: whoever sends it does not mean to be anonymous.
        case foreign
    }

    private static func credential(_ request: Request) -> Presented {
        if let name = Self.apiKeyHeader, let key = request.headers[name] { return .token(key) }
        guard let header = request.headers[.authorization] else { return .none }
        let words = header.split(separator: " ", maxSplits: 1)
        guard words.first?.lowercased() == "bearer" else { return .foreign }
        return .token(words.count == 2 ? String(words[1]) : "")
    }

    private static func reasonNotLocal(_ request: Request, _ context: APIContext) -> LocalClientPolicy.Reason? {
        LocalClientPolicy.reasonNotLocal(
            // The first `Host` is the authority; a second one is among the fields.
            context.peer, isHTTP11: context.isHTTP11, hosts: request.head.authority.map { [$0] } ?? [],
            fields: request.headers.lazy.map { (name: $0.name.canonicalName, value: $0.value) })
    }

    private static func forwardedFor(_ request: Request) -> String? {
        HTTPField.Name("X-Forwarded-For").flatMap { request.headers[$0] }
    }
}
