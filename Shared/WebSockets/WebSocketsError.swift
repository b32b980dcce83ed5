public enum WebSocketsError: Error, Equatable {
    /// libwebsockets made no context: its libuv plugin is missing, or descriptors or memory ran out.
    case contextFailed
}
