import CLibwebsockets
import Glibc

/// One `struct lws`. libwebsockets owns it; it is valid until its connection's closed callback.
struct LibwebsocketsSocket {
    let pointer: OpaquePointer

    static let bytesInFront = shim_lws_pre()

    /// Hands bytes, whole frames or parts of them in order, to the socket; libwebsockets keeps a copy of what it does not take.
    /// Only while `holdsPartialWrite` is false. `false`: the socket is broken.
    func write(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        // LWS_WRITE_HTTP on a WebSocket connection adds no frame header (rops_write_role_protocol_ws, "send_raw").
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return lws_write(self.pointer, start, bytes.count, LWS_WRITE_HTTP) >= 0
    }

    /// It has not sent all that it was given; the writable callback comes by itself when it has.
    var holdsPartialWrite: Bool { lws_partial_buffered(self.pointer) != 0 }

    /// Asks for the writable callback. It costs two system calls, so only where no other event leads to the next write.
    func requestWritable() {
        lws_callback_on_writable(self.pointer)
    }

    /// Stops or resumes reading. What has been read already comes when reading resumes, so that while it is stopped no message comes.
    func setReading(_ isReading: Bool) {
        lws_rx_flow_control(self.pointer, isReading ? 1 : 0)
    }

    /// How long ago anything came from the peer, whatever it was; `nil`: the system does not say.
    var timeSinceReceived: Duration? {
        let milliseconds = shim_ms_since_received(lws_get_socket_fd(self.pointer))
        return milliseconds < 0 ? nil : .milliseconds(milliseconds)
    }

    /// How much of what was sent the peer's TCP has taken; `nil`: the system does not say.
    var bytesAcknowledged: UInt64? { UInt64(exactly: shim_bytes_acked(lws_get_socket_fd(self.pointer))) }

    /// Ends the TCP connection soon, from anywhere. Nothing is flushed. The closed callback follows.
    func end() {
        lws_set_timeout(self.pointer, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC)
    }

    /// Closes a descriptor that libwebsockets never got.
    static func close(descriptor: Int32) {
        // Nothing can be done about a failure; the descriptor is gone all the same.
        _ = Glibc.close(descriptor)
    }
}
