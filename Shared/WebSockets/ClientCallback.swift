import CLibwebsockets

/// What libwebsockets calls for a connection that we opened. Non-zero ends it.
func clientCallback(
    _ socket: OpaquePointer?, _ reason: lws_callback_reasons, _ session: UnsafeMutableRawPointer?,
    _ bytes: UnsafeMutableRawPointer?, _ count: Int
) -> Int32 {
    guard let socket, let tag = lws_get_opaque_user_data(socket), let context = ClientContext.of(socket) else {
        return 0
    }
    let id = UInt64(UInt(bitPattern: tag))
    switch reason {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return context.established(id, socket) ? 0 : -1
    case LWS_CALLBACK_CLIENT_RECEIVE:
        let fragment = Fragment(
            bytes: UnsafeRawBufferPointer(start: bytes, count: count),
            isLast: lws_is_final_fragment(socket) != 0, isBinary: lws_frame_is_binary(socket) != 0)
        return context.received(id, fragment) ? 0 : -1
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return context.writable(id, socket) ? 0 : -1
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        context.peerCloses(id, UnsafeRawBufferPointer(start: bytes, count: count))
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        let text = UnsafeRawBufferPointer(start: bytes, count: count)
        context.ended(id, text.isEmpty ? "no connection could be made" : String(decoding: text, as: UTF8.self))
    case LWS_CALLBACK_CLIENT_CLOSED, LWS_CALLBACK_WSI_DESTROY:
        context.ended(id, "the connection was lost")
    default: break
    }
    return 0
}
