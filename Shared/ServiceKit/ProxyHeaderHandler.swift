import NIOCore
import Peers

/// The first handler of a connection: takes the PROXY header off it, if there is one, and removes itself.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let check: ProxyHeaderCheck
    private let facts: ConnectionFacts
    /// What has come of a header so far.
    private var received: ByteBuffer?
    private var deadline: Scheduled<Void>?
    private var isDone = false

    /// From a header's first bytes to its last.
    private static let timeout = TimeAmount.seconds(5)

    init(check: ProxyHeaderCheck, facts: ConnectionFacts) {
        self.check = check
        self.facts = facts
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isDone else { return context.fireChannelRead(data) }
        var bytes = self.unwrapInboundIn(data)
        if var received = self.received {
            received.writeBuffer(&bytes)
            bytes = received
        }
        switch ProxyHeader.parse(bytes.readableBytesView) {
        case .absent: self.pass(bytes, context)
        case .malformed: self.refuse(.malformed, context)
        case .incomplete:
            self.received = bytes
            guard self.deadline == nil else { return }
            self.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.timeout) {
                self.refuse(.incomplete, context)
            }
        case .complete(let header):
            if let refusal = self.check.refusal(of: header) { return self.refuse(refusal, context) }
            self.facts.carried = header.source
            bytes.moveReaderIndex(forwardBy: header.length)
            self.pass(bytes, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.end()
        context.fireChannelInactive()
    }

    private func pass(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        self.end()
        if bytes.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(bytes)) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ refusal: ProxyHeaderCheck.Refusal, _ context: ChannelHandlerContext) {
        self.end()
        self.check.record(refusal, from: context.remoteAddress?.ipAddress ?? "")
        context.close(promise: nil)
    }

    private func end() {
        self.isDone = true
        self.received = nil
        self.deadline?.cancel()
        self.deadline = nil
    }
}
