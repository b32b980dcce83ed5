import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Source Saver's error body, `{"error": …}`; `retryAfter` in seconds where waiting helps.
@Sendable
func sourceSaverError(_ failure: APIFailure, _ request: Request) -> (contentType: String, body: [UInt8]) {
    let isInvalid = failure.code == "invalid_json"
    var body: [String: JSON] = ["error": .string(isInvalid ? "Validation failed: \(failure.message)" : failure.message)]
    if let seconds = failure.headers[.retryAfter].flatMap({ Int64($0) }) { body["retryAfter"] = .integer(seconds) }
    return ("application/json", JSON.object(body).bytes)
}
