import CLibwebsockets

/// What libwebsockets calls for everything. Non-zero ends the connection.
func libwebsocketsCallback(
    _ socket: OpaquePointer?, _ reason: lws_callback_reasons, _ session: UnsafeMutableRawPointer?,
    _ bytes: UnsafeMutableRawPointer?, _ count: Int
) -> Int32 {
    guard let socket, let loop = LibwebsocketsContext.of(socket)?.owner else { return 0 }
    let id = session?.assumingMemoryBound(to: UInt64.self)
    switch reason {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        loop.woken()
    case LWS_CALLBACK_ADD_HEADERS:
        return addHeaders(loop.handshakeHeaders, bytes)
    case LWS_CALLBACK_ESTABLISHED:
        guard let opened = loop.established(LibwebsocketsSocket(pointer: socket)) else { return -1 }
        id?.pointee = opened.raw
    case LWS_CALLBACK_RECEIVE:
        let fragment = Fragment(
            bytes: UnsafeRawBufferPointer(start: bytes, count: count),
            isLast: lws_is_final_fragment(socket) != 0, isBinary: lws_frame_is_binary(socket) != 0)
        id.map { loop.received(fragment, from: ConnectionID(raw: $0.pointee)) }
    case LWS_CALLBACK_RECEIVE_PONG:
        id.map { loop.ponged(ConnectionID(raw: $0.pointee)) }
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        guard let id else { return 0 }
        return loop.peerCloses(ConnectionID(raw: id.pointee)) ? -1 : 0
    case LWS_CALLBACK_SERVER_WRITEABLE:
        guard let id else { return 0 }
        return loop.writable(ConnectionID(raw: id.pointee)) ? 0 : -1
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        id.map { loop.ending(ConnectionID(raw: $0.pointee)) }
    case LWS_CALLBACK_CLOSED:
        id.map { loop.closed(ConnectionID(raw: $0.pointee)) }
    case LWS_CALLBACK_HTTP:
        // A request that is not an upgrade. The acceptor lets none through.
        return -1
    default:
        break
    }
    return 0
}

/// A piece of a message as libwebsockets gives it. The bytes are valid during the callback.
struct Fragment {
    let bytes: UnsafeRawBufferPointer
    /// The message ends with it.
    let isLast: Bool
    let isBinary: Bool
}

func turnTimerFired(_ timer: UnsafeMutablePointer<lws_sorted_usec_list_t>?) {
    owner(of: timer)?.endTurn()
}

func wheelTimerFired(_ timer: UnsafeMutablePointer<lws_sorted_usec_list_t>?) {
    owner(of: timer)?.wheelDue()
}

private func owner(of timer: UnsafeMutablePointer<lws_sorted_usec_list_t>?) -> LoopContext? {
    guard let owned = UnsafeRawPointer(timer)?.assumingMemoryBound(to: owned_timer.self),
        let user = owned.pointee.owner
    else { return nil }
    return Unmanaged<LibwebsocketsContext>.fromOpaque(user).takeUnretainedValue().owner
}

/// Appends header lines to the 101 that libwebsockets is writing.
private func addHeaders(_ headers: [UInt8], _ arguments: UnsafeMutableRawPointer?) -> Int32 {
    guard !headers.isEmpty, let arguments = arguments?.assumingMemoryBound(to: lws_process_html_args.self),
        let end = arguments.pointee.p
    else { return 0 }
    // Two bytes stay for the empty line.
    guard headers.count + 2 <= Int(arguments.pointee.max_len) else { return -1 }
    UnsafeMutableRawBufferPointer(start: end, count: headers.count).copyBytes(from: headers)
    arguments.pointee.p = end + headers.count
    return 0
}
