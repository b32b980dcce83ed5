import Access
import HTTPTypes
import Hummingbird
import ServiceKit

/// Notes whatever the sender of a request is refused because they may not do it: with the route, and the scope or field that it fails at.
/// A route that is added before it is not covered.
struct RefusalNotes: RouterMiddleware {
    let trail: AuditTrail

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let failure as APIFailure where failure.status == .forbidden {
            // The route's pattern: the path itself is the sender's, and endless.
            let route = context.endpointPath.map { "\(request.method) \($0)" }
            let reason = failure.details["scope"] ?? failure.details["field"] ?? failure.code ?? "forbidden"
            var entry = AuditEntry("request.refuse", by: context, target: route, reason: reason)
            entry.outcome = .refused
            self.trail.note(entry)
            throw failure
        }
    }
}
