import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// A WebSocket server that sends the frames that a test gives it, and keeps those that it reads.
final class FrameServer: Sendable {
    struct State: Sendable {
        var channels: [any Channel] = []
        var heads: [HTTPRequestHead] = []
        /// Of all connections, unmasked, in order.
        var frames: [Frame] = []
        var accepted = 0
        var ended = 0

        var texts: [String] {
            self.frames.filter { $0.opcode == .text }.map { String(decoding: $0.bytes, as: UTF8.self) }
        }
    }

    struct Frame: Sendable {
        var opcode: WebSocketOpcode
        var bytes: [UInt8]
        var isLast = true

        static func text(_ text: String) -> Frame { Frame(opcode: .text, bytes: Array(text.utf8)) }

        static func close(_ code: UInt16, _ reason: String = "") -> Frame {
            Frame(opcode: .connectionClose, bytes: [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8))
        }

        /// A text message in pieces.
        static func pieces(_ message: [UInt8], of size: Int) -> [Frame] {
            stride(from: 0, to: message.count, by: size).map { start in
                Frame(
                    opcode: start == 0 ? .text : .continuation, bytes: Array(message[start...].prefix(size)),
                    isLast: start + size >= message.count)
            }
        }
    }

    let port: Int
    fileprivate let state: NIOLockedValueBox<State>
    private let listener: any Channel

    /// - Parameters:
    ///   - subprotocol: what it says that was agreed on.
    ///   - tls: speaks TLS, with this certificate and key.
    static func with(
        host: String = "127.0.0.1", subprotocol: String? = "obswebsocket.json",
        tls: (certificate: String, key: String)? = nil,
        _ body: (FrameServer) async throws -> Void
    ) async throws {
        let context = try tls.map { try Self.context($0.certificate, $0.key) }
        let state = NIOLockedValueBox(State())
        let upgrader = NIOWebSocketServerUpgrader(
            maxFrameSize: 1 << 24,
            shouldUpgrade: { channel, head in
                state.withLockedValue { $0.heads.append(head) }
                let headers = subprotocol.map { ["Sec-WebSocket-Protocol": $0] as HTTPHeaders } ?? [:]
                return channel.eventLoop.makeSucceededFuture(headers)
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FrameKeeper(state))
                }
            })
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                state.withLockedValue { $0.accepted += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
                }
            }
            .bind(host: host, port: 0).get()
        let server = FrameServer(listener, state)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private init(_ listener: any Channel, _ state: NIOLockedValueBox<State>) {
        self.listener = listener
        self.state = state
        self.port = listener.localAddress?.port ?? 0
    }

    private static func context(_ certificate: String, _ key: String) throws -> NIOSSLContext {
        try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))))
    }

    private func stop() async {
        // `try?`: what is closed already is closed.
        try? await self.listener.close()
        for channel in self.state.withLockedValue({ $0.channels }) { try? await channel.close() }
    }

    /// On every connection.
    func send(_ frames: Frame...) { self.send(frames) }

    func send(_ frames: [Frame]) {
        for channel in self.state.withLockedValue({ $0.channels }) where channel.isActive {
            for frame in frames {
                channel.write(
                    WebSocketFrame(fin: frame.isLast, opcode: frame.opcode, data: ByteBuffer(bytes: frame.bytes)),
                    promise: nil)
            }
            channel.flush()
        }
    }

    /// Waits until `condition` holds; `false` after 10 seconds.
    func eventually(_ condition: (State) -> Bool) async -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if self.state.withLockedValue({ condition($0) }) { return true }
            // A poll's interval. It ends early only if the test is cancelled.
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    /// What was read.
    var now: State { self.state.withLockedValue { $0 } }
}

/// Keeps one connection's frames.
private final class FrameKeeper: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame

    private let state: NIOLockedValueBox<FrameServer.State>

    init(_ state: NIOLockedValueBox<FrameServer.State>) { self.state = state }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.state.withLockedValue { $0.channels.append(channel) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = self.unwrapInboundIn(data)
        let kept = FrameServer.Frame(opcode: frame.opcode, bytes: Array(frame.unmaskedData.readableBytesView))
        self.state.withLockedValue { $0.frames.append(kept) }
    }

    func channelInactive(context: ChannelHandlerContext) { self.state.withLockedValue { $0.ended += 1 } }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
