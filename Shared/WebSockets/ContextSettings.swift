import CLibwebsockets

/// What a context is made of, in memory that is never freed, as the context is not.
struct ContextSettings {
    private let protocols = UnsafeMutablePointer<lws_protocols>.allocate(capacity: 2)
    private let idlePolicy = UnsafeMutablePointer<lws_retry_bo_t>.allocate(capacity: 1)

    private static let name: StaticString = "crosspoint"

    init(receiveBufferBytes: Int) {
        var only = lws_protocols()
        only.name = UnsafeRawPointer(Self.name.utf8Start).assumingMemoryBound(to: CChar.self)
        only.callback = libwebsocketsCallback
        only.per_session_data_size = MemoryLayout<UInt64>.size
        // One read per connection and turn; each connection owns a buffer of this size.
        only.rx_buffer_size = receiveBufferBytes
        // Larger writes would be cut and copied.
        only.tx_packet_size = 1024 * 1024
        self.protocols.initialize(to: only)
        (self.protocols + 1).initialize(to: lws_protocols())
        // All zero: libwebsockets neither pings nor hangs up by itself.
        self.idlePolicy.initialize(to: lws_retry_bo_t())
    }

    func makeContext(
        eventLoop: UnsafeMutablePointer<uv_loop_t>, user: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> OpaquePointer? {
        var info = lws_context_creation_info()
        info.port = CONTEXT_PORT_NO_LISTEN_SERVER
        info.protocols = UnsafePointer(self.protocols)
        info.retry_and_idle_policy = UnsafePointer(self.idlePolicy)
        info.options = UInt64(LWS_SERVER_OPTION_LIBUV) | UInt64(LWS_SERVER_OPTION_VALIDATE_UTF8)
        info.pt_serv_buf_size = 65536
        info.gid = -1
        info.uid = -1
        info.user = UnsafeMutableRawPointer(user)
        // On a loop that it is given it installs no handlers for the process's signals, and we can stop it.
        var loops: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(eventLoop)]
        return loops.withUnsafeMutableBufferPointer { loops in
            info.foreign_loops = loops.baseAddress
            return lws_create_context(&info)
        }
    }
}
