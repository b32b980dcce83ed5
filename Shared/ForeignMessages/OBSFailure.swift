/// Why OBS did not do something.
package enum OBSFailure: Error, Sendable, Equatable {
    /// OBS said no; the codes are in contract obs-websocket §7.
    case refused(request: String, code: Int, comment: String?)
    case timedOut(request: String)
    /// There is no connection, or it ended before the answer came.
    case notConnected

    package var message: String {
        switch self {
        case .refused(let request, let code, let comment): "OBS refused \(request): \(comment ?? "code \(code)")"
        case .timedOut(let request): "OBS did not answer \(request) in time"
        case .notConnected: Self.notConnectedMessage
        }
    }

    package static let notConnectedMessage = "OBS is not connected. Please connect to OBS first."

    package var code: Int? {
        guard case .refused(_, let code, _) = self else { return nil }
        return code
    }
}
