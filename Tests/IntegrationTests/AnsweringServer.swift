import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// An HTTP server that answers each GET with what a closure says to its path and query.
final class AnsweringServer: Sendable {
    typealias Answer = @Sendable (_ uri: String) -> (status: HTTPResponseStatus, body: String)

    private let channel: any Channel
    private let answer: NIOLockedValueBox<Answer>

    /// Serves while the body runs; 503 until it is told what to answer.
    static func with(_ body: (AnsweringServer) async throws -> Void) async throws {
        let answer = NIOLockedValueBox<Answer> { _ in (.serviceUnavailable, "") }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = AnsweringServer(channel, answer)
        do {
            try await body(server)
        } catch {
            try? await channel.close()
            throw error
        }
        try? await channel.close()
    }

    private init(_ channel: any Channel, _ answer: NIOLockedValueBox<Answer>) {
        (self.channel, self.answer) = (channel, answer)
    }

    var url: String { "http://127.0.0.1:\(self.channel.localAddress?.port ?? 0)" }

    func serve(_ answer: @escaping Answer) { self.answer.withLockedValue { $0 = answer } }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: NIOLockedValueBox<Answer>
        private var uri = ""

        init(_ answer: NIOLockedValueBox<Answer>) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch self.unwrapInboundIn(data) {
            case .head(let head): self.uri = head.uri
            case .body: break
            case .end:
                let (status, text) = self.answer.withLockedValue { $0 }(self.uri)
                let head = HTTPResponseHead(
                    version: .http1_1, status: status,
                    headers: ["content-length": "\(text.utf8.count)", "connection": "close"])
                context.write(self.wrapOutboundOut(.head(head)), promise: nil)
                context.write(self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
                context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
