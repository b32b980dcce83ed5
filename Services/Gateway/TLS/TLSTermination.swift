import Glibc
import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import ServiceKit
import ServiceLifecycle

/// TLS at the edge's listeners: makes plain connections of those that clients encrypt, with a certificate that it reads again when
/// its files change.
///
/// Each connection has a relay: a TCP socket on which TLS is spoken, and one of a pair of local sockets, both on one thread of its
/// own. The other one of the pair is what the rest of the gateway has of the connection.
final class TLSTermination: Service {
    private let files: CertificateFiles
    private let logger: Logger
    private let threads: MultiThreadedEventLoopGroup
    private let context: NIOLockedValueBox<NIOSSLContext>
    /// Connections that have a relay.
    private let relays = NIOLockedValueBox(0)
    private let watch: NIOLockedValueBox<CertificateWatch<CertificateFiles.Stamp>>

    private static let expires = Gauge(label: "gateway_tls_certificate_expires_timestamp_seconds")
    private static let isStale = Gauge(label: "gateway_tls_certificate_stale")

    private static let lookInterval = Duration.seconds(2)
    /// What may lie between a loop and its relay, in the kernel's count: half of it is for the kernel itself.
    private static let pairBytesMax: Int32 = 64 << 10
    /// How long relays have at the end, when the loops have closed all that they had.
    private static let drainMax = Duration.milliseconds(500)

    /// - Parameter threads: as many as there are loops: one encrypts what one loop sends.
    init(_ files: CertificateFiles, threads: Int, logger: Logger) throws {
        self.files = files
        self.logger = logger
        // First, so that what changes after the look is read again.
        self.watch = NIOLockedValueBox(CertificateWatch(using: files.stamp))
        let certificate = try files.load()
        self.context = NIOLockedValueBox(certificate.context)
        self.threads = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        self.tell(certificate)
    }

    /// The connection as the rest of the gateway sees it. `nil`: there were no descriptors for it; `socket` stays open.
    func plainSide(of socket: TCPSocket, peer: String) -> TCPSocket? {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return nil }
        // A client that does not read must look like one, soon: not fill buffers here that its loop does not see.
        for end in ends {
            var bytes = Self.pairBytesMax
            setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        self.relays.withLockedValue { $0 += 1 }
        let relay = TLSRelay(
            encrypted: socket.descriptor, plain: ends[1], peer: peer,
            context: self.context.withLockedValue { $0 }, logger: self.logger)
        relay.start(on: self.threads.next()) { [relays] in relays.withLockedValue { $0 -= 1 } }
        return TCPSocket(descriptor: ends[0])
    }

    /// Looks after the files until shutdown, then lets the relays end. Whoever makes connections stops before.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            // `try?`: the sleep fails only when it is cancelled, and then the loop ends.
            while (try? await Task.sleep(for: Self.lookInterval)) != nil {
                // `try?`: the pool runs as long as the process. Files may be on a disk that is slow to answer.
                try? await NIOThreadPool.singleton.runIfActive { self.look() }
            }
        }
        let deadline = ContinuousClock.now + Self.drainMax
        while self.relays.withLockedValue({ $0 }) > 0, ContinuousClock.now < deadline {
            // `try?`: a cancelled sleep means that there is no more time.
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { break }
        }
        try await self.threads.shutdownGracefully()
    }

    /// Reads the files again if they have changed. Blocks.
    private func look() {
        let stamp = self.files.stamp
        guard self.watch.withLockedValue({ $0.looked(stamp) }) else { return }
        do {
            let certificate = try self.files.load()
            self.watch.withLockedValue { $0.loaded(stamp) }
            self.context.withLockedValue { $0 = certificate.context }
            self.tell(certificate)
        } catch {
            guard self.watch.withLockedValue({ $0.failed(error.description) }) else { return }
            Self.isStale.record(1)
            self.logger.error(
                "The new TLS certificate cannot be used; the old one stays", metadata: ["error": "\(error)"])
        }
    }

    private func tell(_ certificate: ServerCertificate) {
        Self.expires.record(certificate.expires)
        Self.isStale.record(0)
        let isOver = certificate.expires < time(nil)
        self.logger.log(
            level: isOver ? .error : .notice,
            isOver ? "The TLS certificate has expired" : "Clients are shown this TLS certificate",
            metadata: ["path": "\(self.files.certificate)", "expires": "\(certificate.expires)"])
    }
}
