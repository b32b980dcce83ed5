import CZeroMQ

/// What ZeroMQ refused to do.
public enum BusError: Error, Sendable {
    /// A library call failed; `code` is its errno.
    case call(name: String, code: Int32, message: String)
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
