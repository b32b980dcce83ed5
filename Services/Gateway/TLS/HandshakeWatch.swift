import Logging
import Metrics
import NIOCore
import NIOTLS

/// Gives one connection's handshake its time, and counts it if it fails.
final class HandshakeWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let peer: String
    private let logger: Logger
    private var deadline: Scheduled<Void>?
    private var isOver = false

    private static let timeout = TimeAmount.seconds(5)
    private static let failed = Counter(label: "gateway_tls_handshakes_failed_total")

    init(peer: String, logger: Logger) {
        self.peer = peer
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.timeout) {
            self.fail("it took too long")
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { self.end() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.fail("\(error)")
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail("the connection ended")
        context.fireChannelInactive()
    }

    private func fail(_ reason: String) {
        guard !self.isOver else { return }
        self.end()
        Self.failed.increment()
        self.logger.debug(
            "TLS handshake failed", metadata: ["client.address": "\(self.peer)", "error": "\(reason)"])
    }

    private func end() {
        self.isOver = true
        self.deadline?.cancel()
        self.deadline = nil
    }
}
