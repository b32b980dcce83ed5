import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// Carries one connection's bytes between a TCP socket with TLS and a plain one. What waits in it is bounded in both directions.
struct TLSRelay: Sendable {
    /// Its own from the start.
    let encrypted: Int32
    let plain: Int32
    /// The client's address.
    let peer: String
    let context: NIOSSLContext
    let logger: Logger

    /// What is read at once at most: one TLS record.
    private static let readBytesMax = 16 << 10
    /// From the second number of bytes that wait for a socket nothing more is read for it, until they are down to the first.
    private static let waterMarks = ChannelOptions.Types.WriteBufferWaterMark(low: 16 << 10, high: 64 << 10)

    /// - Parameter ended: is called when the connection is closed.
    func start(on loop: any EventLoop, ended: @escaping @Sendable () -> Void) {
        loop.execute {
            let ends = NIOLoopBound(RelayEnd.pair(), eventLoop: loop)
            let plain = Self.adopt(self.plain, on: loop) { [ends.value.plain] }
            plain.whenFailure { _ in _ = close(self.encrypted) }
            let encrypted = plain.flatMap { plain in
                let encrypted = Self.adopt(self.encrypted, on: loop) {
                    [
                        LastWords(), NIOSSLServerHandler(context: self.context),
                        HandshakeWatch(peer: self.peer, logger: self.logger), ends.value.encrypted,
                    ]
                }
                encrypted.whenFailure { _ in plain.close(promise: nil) }
                return encrypted
            }
            encrypted.flatMap(\.closeFuture).whenComplete { _ in ended() }
        }
    }

    /// - Parameter handlers: is called on the loop.
    private static func adopt(
        _ descriptor: Int32, on loop: any EventLoop, _ handlers: @escaping @Sendable () -> [any ChannelHandler]
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.writeBufferWaterMark, value: Self.waterMarks)
            // One buffer for each socket, which is small as long as little comes.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 1024, maximum: Self.readBytesMax)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(handlers())
                }
            }
            .withConnectedSocket(descriptor)
    }
}
