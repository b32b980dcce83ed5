import Glibc
import TestSupport
import Threads

/// A client on a bare socket that sends the same again and again and reads nothing after its handshake.
enum RawFlood {
    /// What became of it.
    struct Outcome: Sendable {
        /// Bytes that the sockets took.
        var sent = 0
        /// The server has ended the connection.
        var isEnded = false
    }

    /// Sends `first` once and `again` as often as the server takes it, for that long.
    static func run(
        port: Int, path: String, first: [String] = [], again: String, for time: Duration
    ) async throws -> Outcome {
        let socket = try await WebSocketClientSocket.open(port: port, path: path)
        return await withCheckedContinuation { continuation in
            let thread = WorkerThread(name: "flood") {
                continuation.resume(returning: Self.send(socket, first, again, until: .now + time))
            }
            _ = thread
        }
    }

    private static func send(
        _ socket: Int32, _ first: [String], _ again: String, until end: ContinuousClock.Instant
    ) -> Outcome {
        defer { close(socket) }
        var outcome = Outcome()
        let once = first.flatMap { WebSocketFrames.masked(opcode: 1, Array($0.utf8)) }
        let frame = WebSocketFrames.masked(opcode: 1, Array(again.utf8))
        let many = Array(repeatElement(frame, count: max(1, 65_536 / frame.count)).joined())
        var rest = (once + many)[...]
        while ContinuousClock.now < end {
            if rest.isEmpty { rest = many[...] }
            let count = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                outcome.sent += count
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var writable = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
                poll(&writable, 1, 50)
            } else {
                outcome.isEnded = true
                return outcome
            }
        }
        return outcome
    }
}

/// A WebSocket's socket after the handshake, which has a small receive buffer and does not block.
enum WebSocketClientSocket {
    static func open(port: Int, path: String) async throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var bytes: Int32 = 4096
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let head =
            "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        guard connected == 0, write(descriptor, head, head.utf8.count) == head.utf8.count else {
            close(descriptor)
            throw Suite.Failure(description: "no connection to \(port): \(errno)")
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        guard await SocketPoller.shared.wait(for: descriptor, .readable, timeout: .seconds(20)) == .ready else {
            close(descriptor)
            throw Suite.Failure(description: "no answer from \(port)")
        }
        var answer = [UInt8](repeating: 0, count: 12)
        guard read(descriptor, &answer, answer.count) == 12, answer.suffix(3).elementsEqual("101".utf8) else {
            close(descriptor)
            throw Suite.Failure(description: "\(path): \(String(decoding: answer, as: UTF8.self))")
        }
        return descriptor
    }
}
