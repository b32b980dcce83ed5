internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Takes the place of a server that is down: it counts the connections to a Unix socket and closes each at once.
public final class ConnectionCounter: Sendable {
    private let server: any Channel
    private let counted: NIOLockedValueBox<Int>

    /// How many connections there were.
    public var count: Int { self.counted.withLockedValue { $0 } }

    public static func start(socket path: String) async throws -> ConnectionCounter {
        let counted = NIOLockedValueBox(0)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { client in
                counted.withLockedValue { $0 += 1 }
                client.eventLoop.execute { client.close(promise: nil) }
                return client.eventLoop.makeSucceededVoidFuture()
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        return ConnectionCounter(server: server, counted: counted)
    }

    private init(server: any Channel, counted: NIOLockedValueBox<Int>) {
        self.server = server
        self.counted = counted
    }

    public func stop() async throws { try await self.server.close() }
}
