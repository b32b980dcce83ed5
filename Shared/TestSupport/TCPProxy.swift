import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Forwards TCP connections to a port of this machine, and stops doing so when it is told: then nothing comes through either way,
/// and nobody sees an end.
public final class TCPProxy: Sendable {
    private struct State {
        var isForwarding = true
        var channels: [any Channel] = []
    }

    private let server: any Channel
    private let state: NIOLockedValueBox<State>

    public static func start(port: Int, to target: Int) async throws -> TCPProxy {
        let state = NIOLockedValueBox(State())
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Nothing is read before there is somebody to give it to.
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).channelOption(.autoRead, value: false)
                    .connect(host: "127.0.0.1", port: target)
                    .flatMapThrowing { other in
                        try client.pipeline.syncOperations.addHandler(Forwarder(to: other))
                        try other.pipeline.syncOperations.addHandler(Forwarder(to: client))
                        let reads = state.withLockedValue { state in
                            state.channels += [client, other]
                            return state.isForwarding
                        }
                        for channel in [client, other] { _ = channel.setOption(.autoRead, value: reads) }
                    }
            }
            .bind(host: "127.0.0.1", port: port).get()
        return TCPProxy(server: server, state: state)
    }

    private init(server: any Channel, state: NIOLockedValueBox<State>) {
        self.server = server
        self.state = state
    }

    /// Stops forwarding on all connections, also on new ones, or goes on with it.
    public func forward(_ isForwarding: Bool) async throws {
        let channels = self.state.withLockedValue { state in
            state.isForwarding = isForwarding
            state.channels.removeAll { !$0.isActive }
            return state.channels
        }
        for channel in channels {
            // `try?`: one that has ended meanwhile forwards nothing.
            try? await channel.setOption(.autoRead, value: isForwarding).get()
            if isForwarding { channel.read() }
        }
    }

    public func stop() async throws {
        try await self.server.close()
        for channel in self.state.withLockedValue({ $0.channels }) { channel.close(promise: nil) }
    }
}

/// Gives what one side of a connection reads to the other, and its end too. Both are on one event loop.
private final class Forwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel

    init(to other: any Channel) { self.other = other }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.other.writeAndFlush(self.unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.other.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
