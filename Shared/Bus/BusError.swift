import CZeroMQ

/// Why the bus cannot be used.
public enum BusError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A configuration key has a value that cannot be used, or none.
    case setting(key: String, problem: String)
    /// A library call failed; `code` is its errno.
    case call(name: String, code: Int32, message: String)

    public var description: String {
        switch self {
        case .setting(let key, let problem): "\(key) \(problem)"
        case .call(let name, let code, let message): "\(name) failed: \(message) (\(code))"
        }
    }
}

/// Runs a ZeroMQ call, again after an interruption; throws its name and code when it fails with -1.
@discardableResult
func check(_ name: String, _ call: () -> Int32) throws(BusError) -> Int32 {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = zmq_errno()
        if code == EINTR { continue }
        throw .call(name: name, code: code, message: String(cString: zmq_strerror(code)))
    }
}
