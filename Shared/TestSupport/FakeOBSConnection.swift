internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOWebSocket

/// One connection's frames, on the loop.
final class FakeOBSConnection: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let obs: FakeOBS
    private var id = 0

    init(_ obs: FakeOBS) { self.obs = obs }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.id = self.obs.state.withLockedValue { $0.open(channel) }
    }

    func channelInactive(context: ChannelHandlerContext) { self.obs.state.withLockedValue { $0.closed(self.id) } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = self.unwrapInboundIn(data)
        switch frame.opcode {
        case .text:
            self.obs.state.withLockedValue { $0.take(Array(frame.unmaskedData.readableBytesView), from: self.id) }
            let (obs, id) = (self.obs, self.id)
            context.eventLoop.scheduleTask(in: .milliseconds(50)) { obs.state.withLockedValue { $0.release(id) } }
        case .binary: self.obs.state.withLockedValue { $0.close(self.id, 4002) }
        case .ping where !self.obs.state.withLockedValue({ $0.isStalled }):
            let pong = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.writeAndFlush(self.wrapOutboundOut(pong), promise: nil)
        case .connectionClose: self.answerClose(frame, context)
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answerClose(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
        let isOurs = self.obs.state.withLockedValue { $0.sessions[self.id]?.isClosing ?? false }
        if !isOurs {
            let echo = WebSocketFrame(fin: true, opcode: .connectionClose, data: frame.unmaskedData)
            context.writeAndFlush(self.wrapOutboundOut(echo), promise: nil)
        }
        context.close(promise: nil)
    }
}
