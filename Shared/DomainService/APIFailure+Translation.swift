import Access
import Database
import Events
import HTTPTypes
import ServiceKit

extension APIFailure {
    /// What the libraries' errors mean to a client; `nil`: an error of ours.
    init?(translating error: any Error) {
        switch error {
        case let error as DatabaseError:
            switch error {
            case .unavailable, .notActiveWriter: self = .unavailable("The database is not available")
            case .outcomeUnknown: self = .unavailable("The outcome is not known; look before you try again")
            default: return nil
            }
        case let failure as CommandFailure:
            switch failure.code {
            case .unavailable, .deadlineExceeded: self = .unavailable(failure.message)
            case .notFound: self.init(.notFound, failure.message)
            case .forbidden: self.init(.forbidden, failure.message)
            case .invalid: self.init(.badRequest, failure.message)
            case .conflict: self.init(.conflict, failure.message)
            case .unauthenticated: self.init(.unauthorized, failure.message)
            case .limited:
                self.init(
                    .tooManyRequests, failure.message,
                    headers: failure.retryAfter.map { [.retryAfter: "\($0)"] } ?? [:])
            case .unknownCommand, .internalError: return nil
            }
        default: return nil
        }
    }
}
