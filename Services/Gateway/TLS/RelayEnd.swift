import NIOCore
import NIOSSL
import NIOTLS

/// One of the two ends of a relay. What it reads the other end sends, and it reads only while that one can send; when its input
/// ends, so does the other's output, behind what was to be sent before.
///
/// On the event loop that both ends share.
final class RelayEnd: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private var context: ChannelHandlerContext?
    private var other: RelayEnd?
    /// It may send: there is no handshake, or it is through.
    private var isReady: Bool
    /// It wanted to read while the other end could not send.
    private var isReadDue = false
    private var isFinishing = false

    /// How long the peer of an end whose other one is gone has to take what is to be sent and to end its side too.
    private static let farewellMax = TimeAmount.seconds(5)

    private init(isReady: Bool) { self.isReady = isReady }

    /// Both ends of a new relay.
    static func pair() -> (plain: RelayEnd, encrypted: RelayEnd) {
        let ends = (plain: RelayEnd(isReady: true), encrypted: RelayEnd(isReady: false))
        // The circle is broken when a channel ends.
        ends.plain.other = ends.encrypted
        ends.encrypted.other = ends.plain
        return ends
    }

    // MARK: what its channel tells

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func read(context: ChannelHandlerContext) {
        if self.other?.canSend ?? true {
            context.read()
        } else {
            self.isReadDue = true
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let other = self.other, let next = other.context else { return }
        next.write(other.wrapOutboundOut(self.unwrapInboundIn(data)), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.other?.context?.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.other?.resume() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted:
            self.isReady = true
            self.other?.resume()
        case ChannelEvent.inputClosed: self.other?.finish()
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let other = self.other
        self.other = nil
        other?.leave()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The peer ended TCP and not TLS before it, as many do: an end of its input like any other, and told as such.
        guard error as? NIOSSLError != .uncleanShutdown else { return }
        context.close(promise: nil)
    }

    // MARK: what the other end wants

    private var canSend: Bool {
        // Nobody is kept from sending to an end that is gone: it is how one learns that.
        guard let context = self.context else { return true }
        return self.isReady && context.channel.isWritable
    }

    private func resume() {
        guard self.isReadDue else { return }
        self.isReadDue = false
        self.context?.read()
    }

    /// Ends its output, behind what was to be sent before.
    private func finish() {
        guard let context = self.context, !self.isFinishing else { return }
        self.isFinishing = true
        guard self.isReady else { return context.close(promise: nil) }
        context.close(mode: .output, promise: nil)
    }

    /// The other end is gone.
    private func leave() {
        self.other = nil
        self.finish()
        self.isReadDue = true
        self.resume()
        guard let context = self.context else { return }
        let deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.farewellMax) {
            context.close(promise: nil)
        }
        context.channel.closeFuture.whenComplete { _ in deadline.cancel() }
    }
}
