import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Error bodies: OAuth2's under `/oauth2` (RFC 6749 §5.2), Grimnir's for its sign-in (contract grimnir §9), WAVE's everywhere else
/// (contract wave §5).
enum AuthErrorShape {
    static let shape: @Sendable (APIFailure, Request) -> (contentType: String, body: [UInt8]) = { failure, request in
        let body: JSON
        if ["/oauth2", "/.well-known"].contains(where: request.uri.path.hasPrefix) {
            body = [
                "error": .string(failure.code ?? bearerCode(failure) ?? oauth2Code(failure.status)),
                "error_description": .string(failure.message),
            ]
        } else if LoginAPI.paths.contains(request.uri.path) {
            body = ["error": .string(failure.code ?? grimnirCode(failure.status))]
        } else {
            let details = JSON.object(failure.details.mapValues { .string($0) })
            body = [
                "error": [
                    "code": .string(waveCode(failure.status)), "message": .string(failure.message),
                    "details": details, "request_id": .string("req_\(ULID().text.lowercased())"),
                ]
            ]
        }
        return ("application/json", body.bytes)
    }

    /// What a bearer token was refused with (RFC 6750 §3.1).
    private static func bearerCode(_ failure: APIFailure) -> String? {
        guard let challenge = failure.headers[.wwwAuthenticate], challenge.hasPrefix("Bearer") else { return nil }
        return ["invalid_token", "insufficient_scope"].first { challenge.contains("error=\"\($0)\"") }
    }

    private static func oauth2Code(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "invalid_client"
        case .serviceUnavailable, .tooManyRequests: "temporarily_unavailable"
        case .internalServerError: "server_error"
        default: "invalid_request"
        }
    }

    private static func grimnirCode(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "unauthorized"
        case .forbidden: "station_access_denied"
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        case .contentTooLarge: "body_too_large"
        case .unsupportedMediaType: "json_required"
        case .tooManyRequests: "rate_limited"
        case .serviceUnavailable: "unavailable"
        case .internalServerError: "internal_error"
        default: "invalid_json"
        }
    }

    private static func waveCode(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "AUTHENTICATION_REQUIRED"
        case .forbidden: "FORBIDDEN"
        case .notFound: "NOT_FOUND"
        case .methodNotAllowed: "METHOD_NOT_ALLOWED"
        case .conflict: "CONFLICT"
        case .tooManyRequests: "RATE_LIMITED"
        case .serviceUnavailable: "SERVICE_UNAVAILABLE"
        case .internalServerError: "INTERNAL_ERROR"
        default: "VALIDATION_ERROR"
        }
    }
}
