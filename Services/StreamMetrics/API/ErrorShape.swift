import Access
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// The error bodies of both APIs, by path: `/kappa` is Astro's, everything else WAVE's.
enum ErrorShape {
    static let shape: FailureMiddleware<APIContext>.Shape = { failure, request in
        let isAstro = request.uri.path == "/kappa" || request.uri.path.hasPrefix("/kappa/")
        return ("application/json", (isAstro ? Self.astro(failure) : Self.wave(failure)).bytes)
    }

    /// `{"error":{"code","message","details","request_id"}}` (contract wave §5).
    static func wave(_ failure: APIFailure) -> JSON {
        let error: JSON = [
            "code": .string(Self.waveCode(failure.status)), "message": .string(failure.message),
            "details": .object(failure.details.mapValues(JSON.string)),
            "request_id": .string("req_\(ULID().text.lowercased())"),
        ]
        return ["error": error]
    }

    static func waveCode(_ status: HTTPResponse.Status) -> String {
        switch status.code {
        case 401: "AUTHENTICATION_REQUIRED"
        case 402: "QUOTA_EXCEEDED"
        case 403: "FORBIDDEN"
        case 404, 405: "NOT_FOUND"
        case 409: "CONFLICT"
        case 429: "RATE_LIMITED"
        case 400..<500: "VALIDATION_ERROR"
        case 503: "SERVICE_UNAVAILABLE"
        case 504: "TIMEOUT"
        default: "INTERNAL_ERROR"
        }
    }

    /// `{"error","statusCode","message"}` (contract astro §10).
    static func astro(_ failure: APIFailure) -> JSON {
        [
            "error": .string(failure.status.reasonPhrase), "statusCode": .integer(Int64(failure.status.code)),
            "message": .string(failure.message),
        ]
    }
}
