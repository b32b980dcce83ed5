/// Something one process asks of another over the bus: it is answered or it fails (docs/architecture.md).
public protocol Command: Codable, Sendable {
    associatedtype Answer: Codable & Sendable
    /// `domain.verb`, unique on the bus.
    static var name: String { get }
    /// Who answers it.
    static var service: ServiceName { get }
    /// The only roles that it is accepted from. A command that says on whose behalf it is sent (a `Principal`) is accepted from
    /// `gateway` alone: no other process sees that principal's credential.
    static var askers: Set<BusRole> { get }
}

/// Why a command was not carried out.
public struct CommandFailure: Error, Sendable, Hashable, Codable {
    public enum Code: String, Sendable, Hashable, Codable {
        /// Nobody is there to ask, or it cannot do it now: try again.
        case unavailable
        /// No answer before the deadline; it may or may not have happened.
        case deadlineExceeded
        case unknownCommand
        case invalid
        case notFound
        case forbidden
        case conflict
        /// Too often; `retryAfter` says when it may be tried again.
        case limited
        case unauthenticated
        case internalError
    }

    public var code: Code
    public var message: String
    /// In seconds, of `limited`.
    public var retryAfter: Int?

    public init(_ code: Code, _ message: String, retryAfter: Int? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }
}
