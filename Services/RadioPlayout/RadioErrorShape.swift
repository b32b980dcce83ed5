import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Errors as Grimnir Radio's API says them: `{"error":"<code>"}` (contract grimnir §9).
enum RadioErrorShape {
    static let shape: @Sendable (APIFailure, Request) -> (contentType: String, body: [UInt8]) = { failure, _ in
        ("application/json", JSON.encode(["error": Self.code(failure)]))
    }

    static func code(_ failure: APIFailure) -> String {
        failure.code ?? failure.details["field"].map { "invalid_\($0)" } ?? Self.code(failure.status)
    }

    private static func code(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "unauthorized"
        case .forbidden: "insufficient_role"
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        case .conflict: "conflict"
        case .contentTooLarge: "payload_too_large"
        case .unsupportedMediaType: "unsupported_media_type"
        case .serviceUnavailable: "unavailable"
        case _ where status.kind == .clientError: "invalid_request"
        default: "internal_error"
        }
    }
}
