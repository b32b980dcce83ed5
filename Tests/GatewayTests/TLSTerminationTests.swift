import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing
import Threads

@testable import Gateway

/// A client that speaks TLS on one side and what the gateway has of the connection on the other.
@Suite struct TLSTerminationTests {
    private typealias Client = NIOAsyncChannel<ByteBuffer, ByteBuffer>
    private typealias Inbound = NIOAsyncChannelInboundStream<ByteBuffer>
    private typealias Outbound = NIOAsyncChannelOutboundWriter<ByteBuffer>

    private static let deadline = Duration.seconds(20)
    /// What either side of the client's TCP connection may hold in the kernel.
    private static let socketBytesMax = 32 << 10

    /// Connects a client and hands both sides to the body, which closes the plain one.
    private static func with(
        _ body: @Sendable (Inbound, Outbound, TCPSocket) async throws -> Void
    ) async throws {
        try await TestAuthority.with { authority in
            let files = CertificateFiles(certificate: authority.certificate, key: authority.key)
            let termination = try TLSTermination(files, threads: 1, logger: quiet)
            let context = try NIOSSLContext(configuration: authority.clientSettings())
            try await TestSupport.with(termination) {
                let port = try #require(freeEndpoint().split(separator: ":").last.flatMap { Int($0) })
                let listener = try TCPSocket.listen(host: "127.0.0.1", port: port)
                defer { listener.close() }
                var bytes = Int32(Self.socketBytesMax)
                setsockopt(listener.descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, 4)
                let client = try await Self.connect(port, context)
                _ = await SocketPoller.shared.wait(for: listener.descriptor, .readable)
                guard case .socket(let socket, let peer) = listener.accept() else {
                    throw TCPSocket.Failure(what: "accept", code: 0)
                }
                let plain = try #require(termination.plainSide(of: socket, peer: peer))
                try await client.executeThenClose { try await body($0, $1, plain) }
            }
        }
    }

    private static func connect(_ port: Int, _ context: NIOSSLContext) async throws -> Client {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.so_rcvbuf), value: Self.socketBytesMax)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(context: context, serverHostname: nil)
                    try channel.pipeline.syncOperations.addHandler(tls)
                    return try Client(
                        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
    }

    /// What comes out of the plain side, up to so many bytes or its end.
    private static func read(_ plain: TCPSocket, upTo count: Int) async -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            switch plain.read(upTo: 65_536) {
            case .bytes(let more): bytes += more
            case .ended: return bytes
            case .wait:
                let outcome = await SocketPoller.shared.wait(
                    for: plain.descriptor, .readable, timeout: Self.deadline)
                guard outcome == .ready else { return bytes }
            }
        }
        return bytes
    }

    private static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 / 7) } }

    @Test func `what either side sends comes out at the other, whole and in order`() async throws {
        try await Self.with { inbound, outbound, plain in
            let sent = Self.pattern(1_000_000)
            async let answer = inbound.first(1_000_000)
            async let written: Void = outbound.write(ByteBuffer(bytes: sent))
            let got = await Self.read(plain, upTo: 1_000_000)
            try await written
            #expect(got == sent)
            await plain.write(got.reversed(), by: .now + Self.deadline)
            let back = try await answer
            #expect(back == sent.reversed())
            plain.close()
        }
    }

    @Test(arguments: [0, 10, 60_000])
    func `what was written just before the plain side was closed arrives, then the end`(count: Int) async throws {
        try await Self.with { inbound, outbound, plain in
            // The handshake is through.
            try await outbound.write(ByteBuffer(string: "x"))
            #expect(await Self.read(plain, upTo: 1) == Array("x".utf8))
            let sent = Self.pattern(count)
            await plain.write(sent, by: .now + Self.deadline)
            plain.close()
            // Read to the end, which is TLS's own: an unclean one would throw.
            let got = try await inbound.first(.max)
            #expect(got == sent)
        }
    }

    @Test func `a client that has sent all it will still gets its answer`() async throws {
        try await Self.with { inbound, outbound, plain in
            try await outbound.write(ByteBuffer(string: "question"))
            outbound.finish()
            #expect(await Self.read(plain, upTo: .max) == Array("question".utf8))
            let sent = Self.pattern(200_000)
            async let answer = inbound.first(.max)
            await plain.write(sent, by: .now + Self.deadline)
            plain.close()
            let got = try await answer
            #expect(got == sent)
        }
    }

    @Test func `who writes to a client that does not read has to wait, and soon`() async throws {
        try await Self.with { inbound, outbound, plain in
            try await outbound.write(ByteBuffer(string: "x"))
            #expect(await Self.read(plain, upTo: 1) == Array("x".utf8))
            let block = Self.pattern(10_000)
            var taken = 0
            while taken < 100_000_000 {
                let count = send(plain.descriptor, block, block.count, Int32(MSG_NOSIGNAL))
                if count > 0 {
                    taken += count
                } else {
                    let outcome = await SocketPoller.shared.wait(
                        for: plain.descriptor, .writable, timeout: .milliseconds(700))
                    if outcome == .timedOut { break }
                }
            }
            #expect(taken < 2_000_000)
            // All of it comes when the client reads again.
            async let ended: Void = plain.closeGracefully(by: .now + Self.deadline)
            let got = try await inbound.first(.max)
            #expect(got.count == taken)
            outbound.finish()
            await ended
        }
    }

    @Test func `a client that does not speak TLS ends the plain side`() async throws {
        try await TestAuthority.with { authority in
            let files = CertificateFiles(certificate: authority.certificate, key: authority.key)
            let termination = try TLSTermination(files, threads: 1, logger: quiet)
            try await TestSupport.with(termination) {
                let port = try #require(freeEndpoint().split(separator: ":").last.flatMap { Int($0) })
                let listener = try TCPSocket.listen(host: "127.0.0.1", port: port)
                defer { listener.close() }
                async let client = WebSocketClient.connect(port: port)
                _ = await SocketPoller.shared.wait(for: listener.descriptor, .readable)
                guard case .socket(let socket, let peer) = listener.accept() else {
                    throw TCPSocket.Failure(what: "accept", code: 0)
                }
                let plain = try #require(termination.plainSide(of: socket, peer: peer))
                #expect(await Self.read(plain, upTo: .max).isEmpty)
                plain.close()
                do {
                    _ = try await client
                    Issue.record("the client was let in")
                } catch {
                    #expect(error as? WebSocketClientError == .notHTTP)
                }
            }
        }
    }
}

extension NIOAsyncChannelInboundStream<ByteBuffer> {
    /// So many bytes, or all up to the end.
    fileprivate func first(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await buffer in self {
            bytes += buffer.readableBytesView
            if bytes.count >= count { break }
        }
        return bytes
    }
}
