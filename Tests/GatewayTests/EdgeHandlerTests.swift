import Access
import Bus
import Dialects
import Events
import NIOConcurrencyHelpers
import TestSupport
import Testing
import Threads
import WebSockets

@testable import Gateway
@testable import Requests

/// What a loop does with credentials, told message by message, with real connections and nobody else.
@Suite struct EdgeHandlerTests {
    private let revoked = NIOLockedValueBox<Set<String>>([])

    private static func principal(_ id: String) -> Principal {
        Principal(
            subject: "user", name: "n", tenant: "t", scopes: [.all], credential: .jwt, credentialID: id,
            expires: .now + .seconds(3600))
    }

    private func with(_ body: (Loop<EdgeHandler>) async throws -> Void) async throws {
        let client = CommandClient(endpoints: [:], logger: quiet)
        let seats = SeatLeases(instance: "one", commands: client)
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        // It does not run: what sessions ask is answered by the test.
        let tokens = await ReconnectTokens(key: nil, commands: client, logger: quiet)
        let enquiries = Enquiries(commands: client, verifier: verifier, seats: seats, tokens: tokens)
        let loop = try Loop<EdgeHandler>(name: "test", mailboxCapacity: 1000, logger: quiet) { [revoked] in
            EdgeHandler(
                census: Census(), publishers: HeardPublishers(), enquiries: enquiries, seats: seats,
                isRevoked: { principal in revoked.withLockedValue { $0.contains(principal.credentialID) } },
                logger: quiet, post: { _ in })
        }
        do {
            try await body(loop)
        } catch {
            await loop.stop()
            throw error
        }
        await loop.stop()
    }

    /// A connection that was let in.
    private func open(
        _ loop: Loop<EdgeHandler>, _ name: DialectName, _ principal: Principal? = nil
    ) async throws -> (client: WebSocketClient, id: ConnectionID) {
        let port = try #require(freeEndpoint().split(separator: ":").last.flatMap { Int($0) })
        let listener = try TCPSocket.listen(host: "127.0.0.1", port: port)
        defer { listener.close() }
        async let client = WebSocketClient.connect(port: port)
        _ = await SocketPoller.shared.wait(for: listener.descriptor, .readable)
        guard case .socket(let socket, _) = listener.accept() else { throw TCPSocket.Failure(what: "accept", code: 0) }
        _ = await SocketPoller.shared.wait(for: socket.descriptor, .readable)
        // The client sends its head in one piece.
        guard case .bytes(let bytes) = socket.read(upTo: 4096), case .complete(let head) = RequestHead.parse(bytes)
        else { throw TCPSocket.Failure(what: "read", code: 0) }
        let upgrade = Upgrade(
            descriptor: socket.descriptor, key: head.headers["sec-websocket-key"] ?? "", messageBytesMax: 65536)
        let place = try #require(DialectRegistry.all.firstIndex { $0.profile.name == name })
        let request = UpgradeRequest(path: "/", query: [(name: "token", value: "xp_key")])
        let arrival = Arrival(
            upgrade: upgrade, dialect: place, request: request, principal: principal, introduction: nil)
        #expect(loop.post(.adopt(arrival)))
        return (try await client, upgrade.id)
    }

    @Test func `who was revoked between the verification and the opening is closed as it opens`() async throws {
        try await self.with { loop in
            self.revoked.withLockedValue { $0 = ["doomed"] }
            let kept = try await self.open(loop, .grimnir, Self.principal("kept"))
            let doomed = try await self.open(loop, .grimnir, Self.principal("doomed"))
            #expect(try await doomed.client.closing(within: .seconds(10)) == (1008, "token revoked"))
            try await kept.client.ping([1])
            #expect(try await kept.client.nextPong() == [1])
        }
    }

    @Test func `who was revoked while the answer was on its way is closed when it comes`() async throws {
        try await self.with { loop in
            let (client, id) = try await self.open(loop, .airys)
            try await client.ping([1])
            #expect(try await client.nextPong() == [1])
            self.revoked.withLockedValue { $0 = ["doomed"] }
            #expect(loop.post(.verified(id, .success(Self.principal("doomed")))))
            #expect(try await client.closing(within: .seconds(10)) == (4401, "authentication failed"))
        }
    }

    @Test func `a connection whose credentials have become too many to watch is closed`() async throws {
        try await self.with { loop in
            let (client, id) = try await self.open(loop, .astro)
            for number in 0..<256 { #expect(loop.post(.verified(id, .success(Self.principal("\(number)"))))) }
            try await client.ping([1])
            #expect(try await client.nextPong() == [1])
            #expect(loop.post(.verified(id, .success(Self.principal("256")))))
            #expect(try await client.closing(within: .seconds(10)) == (1008, "too many credentials"))
        }
    }
}
