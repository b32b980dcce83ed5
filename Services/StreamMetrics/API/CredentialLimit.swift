import Access
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// How many requests a credential may send, by its tier: so many a minute, twice as many at once. Each answer says what is left
/// (contract wave §7).
struct CredentialLimit: RouterMiddleware {
    private let buckets = RequestBuckets()

    private static let limitHeader = HTTPField.Name("X-RateLimit-Limit")
    private static let remainingHeader = HTTPField.Name("X-RateLimit-Remaining")
    private static let resetHeader = HTTPField.Name("X-RateLimit-Reset")
    private static let windowHeader = HTTPField.Name("X-RateLimit-Window")

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let principal = context.principal else { return try await next(request, context) }
        let perMinute = principal.tier.requestsPerMinute
        let outcome = self.buckets.take(principal.credentialID, perMinute: perMinute, at: .now)
        let headers = Self.headers(outcome, perMinute)
        guard outcome.isAllowed else {
            throw APIFailure(
                .tooManyRequests, "The plan allows \(perMinute) requests a minute",
                details: ["retry_after": "\(outcome.retryAfter)"],
                headers: headers.merged(with: [.retryAfter: "\(outcome.retryAfter)"]))
        }
        do {
            var response = try await next(request, context)
            response.headers = response.headers.merged(with: headers)
            return response
        } catch var failure as APIFailure {
            failure.headers = failure.headers.merged(with: headers)
            throw failure
        }
    }

    private static func headers(_ outcome: RequestBuckets.Outcome, _ perMinute: Int) -> HTTPFields {
        var headers = HTTPFields()
        for (name, value) in [
            (Self.limitHeader, Int64(perMinute)), (Self.remainingHeader, Int64(outcome.remaining)),
            (Self.resetHeader, outcome.fullAt.seconds), (Self.windowHeader, 60),
        ] {
            if let name { headers[name] = "\(value)" }
        }
        return headers
    }
}

extension HTTPFields {
    fileprivate func merged(with others: HTTPFields) -> HTTPFields {
        var fields = self
        for field in others { fields[field.name] = field.value }
        return fields
    }
}
