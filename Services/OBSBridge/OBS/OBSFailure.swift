import ForeignMessages
import HTTPTypes
import ServiceKit

extension OBSFailure {
    /// What a client is to hear for some of OBS's codes.
    func told(_ words: [Int: APIFailure]) -> any Error { self.code.flatMap { words[$0] } ?? self }

    /// As a client of the REST API sees it (contract obs-websocket §7).
    var apiFailure: APIFailure {
        switch self {
        case .notConnected: APIFailure(.serviceUnavailable, self.message)
        case .timedOut: APIFailure.unavailable(self.message)
        case .refused(_, let code, _):
            switch code {
            case OBSAnswer.notReady: APIFailure(.serviceUnavailable, self.message, headers: [.retryAfter: "1"])
            case OBSAnswer.notFound: APIFailure(.notFound, self.message)
            case OBSAnswer.alreadyExists: APIFailure(.conflict, self.message)
            case 300...404, OBSAnswer.wrongInputKind, 703: APIFailure(.badRequest, self.message)
            case 500, 501, 502, 503, 504, 505, 506, 604: APIFailure(.conflict, self.message)
            default: APIFailure(.internalServerError, self.message)
            }
        }
    }
}

extension APIFailure {
    /// A name that is not there, cut where it is long.
    static func notInOBS(_ noun: String, _ name: String) -> APIFailure {
        APIFailure(.notFound, "\(noun) '\(name.prefix(200))' not found in OBS")
    }
}

/// Why there is no link to an OBS.
enum OBSLinkFailure: Error, Sendable, Equatable {
    /// Nobody answers there, or not as a server of obs-websocket does.
    case unreachable(String)
    /// OBS closed the connection; the codes are in contract obs-websocket §8.
    case closed(code: UInt16, reason: String)
    case lost(String)
    /// It stays silent.
    case silent
    /// The password was sealed with another key, or for another address.
    case unreadablePassword
    /// The process ended each time it was tried.
    case crashes

    /// Whether trying again by itself is of no use: the password is wrong or unreadable, the version is not supported, somebody at
    /// OBS threw us out, or obs-bridge does not survive it.
    var isFinal: Bool {
        switch self {
        case .closed(let code, _): [4009, 4010, 4011].contains(code)
        case .unreadablePassword, .crashes: true
        case .unreachable, .lost, .silent: false
        }
    }

    var message: String {
        switch self {
        case .unreachable(let reason): reason
        case .closed(4009, _): "authentication failed: the password is wrong or missing"
        case .closed(4010, _): "OBS speaks another version of obs-websocket"
        case .closed(4011, _): "the session was ended in OBS"
        case .closed(let code, let reason): "OBS closed the connection (\(code)\(reason.isEmpty ? "" : ": \(reason)"))"
        case .lost(let reason): reason
        case .silent: "OBS does not answer"
        case .crashes:
            "obs-bridge ended \(CrashGuard.crashesMax) times in a row soon after it connected to this OBS; reconnect to try again"
        case .unreadablePassword:
            "the stored password cannot be read: it was sealed with another key or for another address; set it again"
        }
    }
}
