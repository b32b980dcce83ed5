import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Errors as Airys' API says them: `{"error":{"code","message"}}` (contract airys §10).
enum CameraErrorShape {
    static let shape: @Sendable (APIFailure, Request) -> (contentType: String, body: [UInt8]) = { failure, _ in
        let error = ["code": failure.code?.uppercased() ?? Self.code(failure.status), "message": failure.message]
        return ("application/json", JSON.encode(["error": error]))
    }

    private static func code(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "NOT_AUTHENTICATED"
        case .forbidden: "FORBIDDEN"
        case .notFound: "NOT_FOUND"
        case .methodNotAllowed: "METHOD_NOT_ALLOWED"
        case .conflict: "CONFLICT"
        case .contentTooLarge: "PAYLOAD_TOO_LARGE"
        case .unsupportedMediaType: "UNSUPPORTED_MEDIA_TYPE"
        case .serviceUnavailable: "UNAVAILABLE"
        case _ where status.kind == .clientError: "INVALID_REQUEST"
        default: "INTERNAL_ERROR"
        }
    }
}
