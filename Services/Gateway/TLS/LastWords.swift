import NIOCore

/// Has what was written to a socket sent before the socket, or its output, is closed; for so long as that may take.
///
/// Left alone, a channel that closes drops what the kernel does not take at once; so does NIOSSL's end of TLS.
final class LastWords: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var isClosing = false

    private static let timeout = TimeAmount.seconds(2)

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode != .input, !self.isClosing else { return context.close(mode: mode, promise: promise) }
        self.isClosing = mode == .all
        let sent = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: sent)
        let end = sent.futureResult.assumeIsolated()
        end.whenComplete { _ in context.close(mode: mode, promise: promise) }
        guard self.isClosing else { return }
        // It makes `sent` fail, if that is still open.
        let deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.timeout) {
            context.close(promise: nil)
        }
        end.whenComplete { _ in deadline.cancel() }
    }
}
