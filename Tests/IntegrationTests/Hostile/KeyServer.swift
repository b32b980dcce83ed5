import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// Serves the public keys of an issuer that is not ours, and remembers who asked for what.
final class KeyServer: Sendable {
    private let channel: any Channel
    private let asked: NIOLockedValueBox<[String]>

    private init(channel: any Channel, asked: NIOLockedValueBox<[String]>) {
        self.channel = channel
        self.asked = asked
    }

    /// Serves that document under every path while the body runs.
    static func with(_ document: String, _ body: (KeyServer) async throws -> Void) async throws {
        let asked = NIOLockedValueBox<[String]>([])
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Answerer(document: document, asked: asked))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = KeyServer(channel: channel, asked: asked)
        do {
            try await body(server)
        } catch {
            try? await channel.close()
            throw error
        }
        try await channel.close()
    }

    var url: String { "http://127.0.0.1:\(self.channel.localAddress?.port ?? 0)" }

    /// The paths that were asked for.
    var paths: [String] { self.asked.withLockedValue { $0 } }

    private final class Answerer: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let document: String
        private let asked: NIOLockedValueBox<[String]>

        init(document: String, asked: NIOLockedValueBox<[String]>) {
            self.document = document
            self.asked = asked
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch self.unwrapInboundIn(data) {
            case .head(let head): self.asked.withLockedValue { $0.append(head.uri) }
            case .body: break
            case .end:
                let body = ByteBuffer(string: self.document)
                let headers: HTTPHeaders = [
                    "Content-Type": "application/json", "Content-Length": "\(body.readableBytes)",
                    "Connection": "close",
                ]
                let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
                context.write(self.wrapOutboundOut(.head(head)), promise: nil)
                context.write(self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
                context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
