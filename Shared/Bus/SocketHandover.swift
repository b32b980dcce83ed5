/// A socket on its way to the thread that will own it: ZeroMQ allows the move with a full barrier, which starting a thread is.
final class SocketHandover: @unchecked Sendable {
    // Safe: taken once, by the thread that was started after it was set.
    private var socket: Socket?

    init(_ socket: Socket) { self.socket = socket }

    func take() -> Socket {
        guard let socket = self.socket else { preconditionFailure("the socket was taken before") }
        self.socket = nil
        return socket
    }
}
