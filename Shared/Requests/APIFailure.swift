public import HTTPTypes

/// An answer other than success, before an API has put it into its own words.
public struct APIFailure: Error, Sendable {
    public var status: HTTPResponse.Status
    /// A stable code, for APIs that show one; `nil`: by status.
    public var code: String?
    public var message: String
    /// Further members for APIs that have room for them.
    public var details: [String: String]
    public var headers: HTTPFields

    public init(
        _ status: HTTPResponse.Status, code: String? = nil, _ message: String, details: [String: String] = [:],
        headers: HTTPFields = [:]
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers
    }

    /// A dependency is away: try again soon.
    public static func unavailable(_ message: String) -> APIFailure {
        APIFailure(.serviceUnavailable, message, headers: [.retryAfter: "2"])
    }
}
