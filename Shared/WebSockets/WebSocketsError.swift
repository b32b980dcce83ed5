public enum WebSocketsError: Error, Equatable {
    /// libwebsockets made no context: its libuv plugin is missing, or descriptors or memory ran out.
    case contextFailed
    /// A server could not be reached, or refused the upgrade; why, in the system's or libwebsockets' words.
    case notConnected(String)
}
