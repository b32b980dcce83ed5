import Access
import Events
import HTTPTypes
import Hummingbird
import NIOConcurrencyHelpers
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

/// A bucket of requests for each credential, which fills steadily.
final class RequestBuckets: Sendable {
    struct Outcome: Sendable, Hashable {
        let isAllowed: Bool
        let remaining: Int
        /// When nothing of what was sent counts any more.
        let fullAt: Timestamp
        /// In seconds, 1 at least.
        let retryAfter: Int
    }

    private struct Bucket {
        var tokens: Double
        var time: Timestamp
    }

    private let buckets = NIOLockedValueBox<[String: Bucket]>([:])

    /// Beyond, those that are full again are forgotten.
    private static let countMax = 10_000

    /// Counts one request.
    func take(_ credential: String, perMinute: Int, at moment: Timestamp) -> Outcome {
        let capacity = Double(perMinute * 2)
        let perSecond = Double(perMinute) / 60
        return self.buckets.withLockedValue { buckets in
            var bucket = buckets[credential] ?? Bucket(tokens: capacity, time: moment)
            let seconds = Double(max(0, moment.milliseconds - bucket.time.milliseconds)) / 1000
            bucket = Bucket(tokens: min(capacity, bucket.tokens + seconds * perSecond), time: moment)
            let isAllowed = bucket.tokens >= 1
            if isAllowed { bucket.tokens -= 1 }
            if buckets.count >= Self.countMax, buckets[credential] == nil {
                // In two minutes the emptiest is full.
                buckets = buckets.filter { moment - $0.value.time < .seconds(120) }
            }
            buckets[credential] = bucket
            let untilFull = (capacity - bucket.tokens) / perSecond
            return Outcome(
                isAllowed: isAllowed, remaining: Int(bucket.tokens),
                fullAt: Timestamp(milliseconds: moment.milliseconds + Int64(untilFull * 1000)),
                retryAfter: max(1, Int(((1 - bucket.tokens) / perSecond).rounded(.up))))
        }
    }
}
