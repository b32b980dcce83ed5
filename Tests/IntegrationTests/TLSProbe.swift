import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// What a client learns from a TLS handshake.
struct TLSProbe: Sendable {
    let version: TLSVersion?
    /// What was chosen of the protocols that the client offered.
    let alpn: String?
    /// Of the certificate that it was shown.
    let serialNumber: [UInt8]

    /// Shakes hands and hangs up. Throws what the handshake failed of.
    static func shake(port: Int, _ settings: TLSConfiguration) async throws -> TLSProbe {
        let context = try NIOSSLContext(configuration: settings)
        let (channel, probe) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let probe = channel.eventLoop.makePromise(of: TLSProbe.self)
                    let tls = try NIOSSLClientHandler(context: context, serverHostname: nil)
                    try channel.pipeline.syncOperations.addHandlers(tls, Handler(probe))
                    return (channel, probe.futureResult)
                }
            }
        let result = try await probe.get()
        // `try?`: it may be closed already.
        try? await channel.close()
        return result
    }

    /// How long it takes until the gateway ends a connection on which nothing is said.
    static func silence(port: Int) async throws -> Duration {
        let start = ContinuousClock.now
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeSucceededFuture(channel)
            }
        try await channel.closeFuture.get()
        return ContinuousClock.now - start
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let probe: EventLoopPromise<TLSProbe>

        init(_ probe: EventLoopPromise<TLSProbe>) { self.probe = probe }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard case TLSUserEvent.handshakeCompleted(let alpn)? = event as? TLSUserEvent else { return }
            let operations = context.pipeline.syncOperations
            self.probe.completeWith(
                Result {
                    TLSProbe(
                        version: try operations.nioSSL_tlsVersion(), alpn: alpn,
                        serialNumber: try operations.nioSSL_peerCertificate()?.serialNumber ?? [])
                })
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.probe.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { self.probe.fail(ChannelError.eof) }
    }
}
