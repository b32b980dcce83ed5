import NIOCore
import NIOPosix
public import NIOSSL

/// The server answered a handshake with something else than 101.
public struct WebSocketRefused: Error, Sendable {
    public let status: Int
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]
}

public enum WebSocketClientError: Error, Equatable, Sendable {
    case timedOut
    /// The connection ended (1006: without a CLOSE frame) before what was awaited came.
    case closed(code: UInt16, reason: String)
    case notHTTP
}

/// A WebSocket client for tests. It answers PING unless told not to, and lets a test send what no client should.
public struct WebSocketClient: Sendable {
    /// Of the 101. Names in lower case.
    public let headers: [String: String]
    private let channel: any Channel
    private let state: NIOLoopBound<WebSocketClientHandler>

    /// Connects and shakes hands.
    /// - Parameters:
    ///   - headers: replace the handshake's own headers of the same name.
    ///   - sentAlong: goes out in one write with the request.
    ///   - tls: speaks TLS, with these settings.
    ///   - preamble: goes out before anything else, TLS too.
    public static func connect(
        host: String = "127.0.0.1", port: Int, path: String = "/", headers: [(String, String)] = [],
        answersPings: Bool = true, sentAlong: [UInt8] = [], tls: NIOSSLContext? = nil,
        preamble: [UInt8] = []
    ) async throws -> WebSocketClient {
        let request = Self.request(host: "\(host):\(port)", path: path, headers: headers) + sentAlong
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: false)
        let (channel, state) = try await bootstrap.connect(host: host, port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Preamble(preamble))
                if let tls {
                    let encryption = try NIOSSLClientHandler(context: tls, serverHostname: nil)
                    try channel.pipeline.syncOperations.addHandler(encryption)
                }
                let handler = WebSocketClientHandler(eventLoop: channel.eventLoop, answersPings: answersPings)
                try channel.pipeline.syncOperations.addHandler(handler)
                return (channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
            }
        }
        let shaken = channel.eventLoop.flatSubmit { state.value.handshake() }
        try await channel.writeAndFlush(ByteBuffer(bytes: request))
        return WebSocketClient(headers: try await shaken.get(), channel: channel, state: state)
    }

    public func send(text: String) async throws {
        try await self.sendRaw(WebSocketFrames.masked(opcode: 1, Array(text.utf8)))
    }

    public func send(binary: [UInt8]) async throws {
        try await self.sendRaw(WebSocketFrames.masked(opcode: 2, binary))
    }

    /// Sends bytes as they are.
    public func sendRaw(_ bytes: [UInt8]) async throws {
        try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    public func ping(_ payload: [UInt8] = []) async throws {
        try await self.sendRaw(WebSocketFrames.masked(opcode: 9, payload))
    }

    /// The next text or binary message.
    public func nextText(within time: Duration = .seconds(30)) async throws -> String {
        try await self.channel.eventLoop.flatSubmit { self.state.value.nextText(within: TimeAmount(time)) }.get()
    }

    /// The payload of the next PONG.
    public func nextPong(within time: Duration = .seconds(30)) async throws -> [UInt8] {
        try await self.channel.eventLoop.flatSubmit { self.state.value.nextPong(within: TimeAmount(time)) }.get()
    }

    /// The code of the server's CLOSE frame (1005: without one), 1006 if TCP ended without a CLOSE frame.
    public func closeCode(within time: Duration = .seconds(30)) async throws -> UInt16 {
        try await self.closing(within: time).code
    }

    public func closing(within time: Duration = .seconds(30)) async throws -> (code: UInt16, reason: String) {
        try await self.channel.eventLoop.flatSubmit { self.state.value.closing(within: TimeAmount(time)) }.get()
    }

    /// How many PINGs came.
    public func pings() async throws -> Int {
        try await self.channel.eventLoop.submit { self.state.value.pings }.get()
    }

    /// Stops reading from the socket, or starts again.
    public func setReading(_ reads: Bool) async throws {
        try await self.channel.setOption(.autoRead, value: reads).get()
        if reads { self.channel.read() }
    }

    /// Sends a CLOSE frame, awaits the server's or the end of TCP, and ends TCP.
    public func close(code: UInt16 = 1000) async throws {
        // The server may have ended it already.
        try? await self.sendRaw(WebSocketFrames.masked(opcode: 8, [UInt8(code >> 8), UInt8(code & 0xff)]))
        _ = try await self.closeCode()
        try? await self.channel.close()
    }

    /// Ends TCP with no word.
    public func drop() async throws {
        // Closed is what it shall be.
        try? await self.channel.close()
    }

    private static func request(host: String, path: String, headers: [(String, String)]) -> [UInt8] {
        let defaults = [
            ("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"),
        ]
        let given = Set(headers.map { $0.0.lowercased() })
        let lines = defaults.filter { !given.contains($0.0.lowercased()) } + headers
        return Array("GET \(path) HTTP/1.1\r\n\(lines.map { "\($0.0): \($0.1)\r\n" }.joined())\r\n".utf8)
    }
}
