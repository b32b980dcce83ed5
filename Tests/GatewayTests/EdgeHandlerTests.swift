import Access
import Bus
import Dialects
import Events
import Glibc
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
    private let holder = Holder()

    /// The handler of the test's loop.
    // Safe: it is used on the loop's thread only.
    private final class Holder: @unchecked Sendable {
        weak var handler: EdgeHandler?
    }

    private static func principal(_ id: String, tenant: String = "t") -> Principal {
        Principal(
            subject: "user", name: "n", tenant: tenant, scopes: [.all], credential: .jwt, credentialID: id,
            expires: .now + .seconds(3600))
    }

    private func with(
        post: @escaping Enquiries.Answer = { _ in }, _ body: (Loop<EdgeHandler>) async throws -> Void
    ) async throws {
        let client = CommandClient(endpoints: [:], logger: quiet)
        let seats = SeatLeases(instance: "one", commands: client)
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        // It does not run: what sessions ask is answered by the test.
        let tokens = await ReconnectTokens(key: nil, commands: client, logger: quiet)
        let enquiries = Enquiries(commands: client, verifier: verifier, seats: seats, tokens: tokens)
        let loop = try Loop<EdgeHandler>(name: "test", mailboxCapacity: 1000, logger: quiet) { [revoked, holder] in
            let handler = EdgeHandler(
                census: Census(), publishers: HeardPublishers(), enquiries: enquiries, seats: seats,
                isRevoked: { principal in revoked.withLockedValue { $0.contains(principal.credentialID) } },
                logger: quiet, post: post)
            holder.handler = handler
            return handler
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
        _ loop: Loop<EdgeHandler>, _ name: DialectName, _ principal: Principal? = nil, sendBufferBytes: Int32? = nil
    ) async throws -> (client: WebSocketClient, id: ConnectionID) {
        let port = try #require(freeEndpoint().split(separator: ":").last.flatMap { Int($0) })
        let listener = try TCPSocket.listen(host: "127.0.0.1", port: port)
        defer { listener.close() }
        async let client = WebSocketClient.connect(port: port)
        _ = await SocketPoller.shared.wait(for: listener.descriptor, .readable)
        guard case .socket(let socket, _) = listener.accept() else { throw TCPSocket.Failure(what: "accept", code: 0) }
        if var bytes = sendBufferBytes {
            setsockopt(socket.descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        _ = await SocketPoller.shared.wait(for: socket.descriptor, .readable)
        // The client sends its head in one piece.
        guard case .bytes(let bytes) = socket.read(upTo: 4096), case .complete(let head) = RequestHead.parse(bytes)
        else { throw TCPSocket.Failure(what: "read", code: 0) }
        let upgrade = Upgrade(
            descriptor: socket.descriptor, key: head.headers["sec-websocket-key"] ?? "", messageBytesMax: 65536)
        let place = try #require(DialectRegistry.all.firstIndex { $0.profile.name == name })
        let request = UpgradeRequest(
            path: "/", query: [(name: "token", value: "xp_key"), (name: "api_key", value: "xp_key")])
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

    @Test func `what is sent while an answer is awaited waits, however much, and is answered in order`() async throws {
        try await self.with { loop in
            let (client, id) = try await self.open(loop, .wave)
            let count = 3000
            let pings = (1...count).map {
                WebSocketFrames.masked(opcode: 1, Array("{\"type\":\"ping\",\"timestamp\":\($0)}".utf8))
            }
            let flood = Task { try await client.sendRaw(Array(pings.joined())) }
            // Then nothing is read any more, so there are never more.
            var held = 0
            let deadline = ContinuousClock.now + .seconds(20)
            while held < 256, ContinuousClock.now < deadline {
                held = await self.ask(loop) { $0?.clients[id]?.held.count ?? 0 }
            }
            for _ in 0..<100 { _ = await self.ask(loop) { _ in } }
            #expect(await self.ask(loop) { $0?.clients[id]?.held.count } == 256)
            #expect(loop.post(.verified(id, .success(Self.principal("key")))))
            #expect(loop.post(.seated(id, Seat(owner: "", max: 1, farewell: [], closing: .tooSlow), true)))
            for number in 1...count {
                let pong = JSON(parsing: Array(try await client.nextText().utf8))
                #expect(pong?["payload"]?["timestamp"] == .integer(Int64(number)))
            }
            try await flood.value
        }
    }

    @Test func `a client that takes none of its replies is closed as too slow`() async throws {
        try await self.with { loop in
            let (client, id) = try await self.open(loop, .sourceSaver, Self.principal("key"), sendBufferBytes: 4096)
            try await client.setReading(false)
            let stamp = String(repeating: "x", count: 60_000)
            let ping = WebSocketFrames.masked(opcode: 1, Array("{\"action\":\"ping\",\"timestamp\":\"\(stamp)\"}".utf8))
            // More than the sockets of both ends take, and within the rate.
            let flood = Task { for _ in 0..<45 { try await client.sendRaw(ping) } }
            var closing: Closing?
            let deadline = ContinuousClock.now + .seconds(40)
            while closing == nil, ContinuousClock.now < deadline {
                let (bytes, now) = await self.ask(loop) { handler in
                    let client = handler?.clients[id]
                    return (client?.connection.queuedBytes ?? 0, client?.closing)
                }
                #expect(bytes < Connection.replyBytesMax + 2 * 60_200)
                closing = now
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(closing == .tooSlow)
            flood.cancel()
            try await client.drop()
        }
    }

    @Test(arguments: [DialectName.wave, .astro, .airys])
    func `a client that has not logged in sends 8 KiB at most`(dialect: DialectName) async throws {
        try await self.with { loop in
            let (short, _) = try await self.open(loop, dialect)
            try await short.send(text: String(repeating: " ", count: 8192))
            try await short.ping([1])
            #expect(try await short.nextPong() == [1])
            let (long, _) = try await self.open(loop, dialect)
            try await long.send(text: String(repeating: " ", count: 8193))
            #expect(try await long.closing(within: .seconds(10)) == (1009, "message too big"))
        }
    }

    /// Runs `body` on the loop and gives what it returns.
    private func ask<Result: Sendable>(
        _ loop: Loop<EdgeHandler>, _ body: @escaping @Sendable (EdgeHandler?) -> Result
    ) async -> Result {
        await withCheckedContinuation { continuation in
            let isTaken = loop.post(
                .explain(connection: "", event: ULID()) { [holder] _ in
                    continuation.resume(returning: body(holder.handler))
                })
            precondition(isTaken, "the test's mailbox is full")
        }
    }

    private final class Witness: Sendable {}

    @Test func `a loop that has stopped lets go of its handler`() async throws {
        var witness: Witness? = Witness()
        weak let observed = witness
        try await self.with(post: { [witness] _ in withExtendedLifetime(witness) {} }) { loop in
            let (client, _) = try await self.open(loop, .airys)
            try await client.ping([1])
            #expect(try await client.nextPong() == [1])
        }
        witness = nil
        try await eventually { observed == nil }
    }

    /// What a loop answers.
    private func ask<Answer: Sendable>(
        _ loop: Loop<EdgeHandler>, _ message: (@escaping @Sendable (Answer) -> Void) -> EdgeMessage
    ) async -> Answer {
        await withCheckedContinuation { continuation in
            #expect(loop.post(message { continuation.resume(returning: $0) }))
        }
    }

    @Test func `only connections that are shown are listed and described, in order and by pages`() async throws {
        try await self.with { loop in
            var ids: [ConnectionID] = []
            for number in 0..<6 {
                let principal = Self.principal("\(number)", tenant: number % 2 == 0 ? "t" : "other")
                ids.append(try await self.open(loop, .grimnir, principal).id)
            }
            let own = ids.indices.filter { $0 % 2 == 0 }.map { ids[$0] }
            func listed(_ tenant: String?, after: ConnectionID? = nil, limit: Int = 10) async -> [ConnectionID] {
                let question = ConnectionsQuestion(tenant: tenant, after: after, limit: limit)
                return await self.ask(loop) { .list(question, $0) }
            }
            #expect(await listed(nil) == ids)
            #expect(await listed("t") == own)
            #expect(await listed("nobody") == [])
            // One more than asked for, if there is one.
            #expect(await listed("t", limit: 2) == own)
            #expect(await listed("t", limit: 1) == Array(own.prefix(2)))
            #expect(await listed("t", after: own[0]) == Array(own.dropFirst()))
            let described: [ClientDescription] = await self.ask(loop) {
                .describe([ids[5], ids[0]], tenant: nil, $0)
            }
            #expect(described.map(\.tenant) == ["other", "t"])
            #expect(described.map(\.id) == [ids[5].description, ids[0].description])
            // Of one that was listed another tenant's credential may have come meanwhile.
            #expect(loop.post(.verified(ids[0], .success(Self.principal("more", tenant: "other")))))
            let left: [ClientDescription] = await self.ask(loop) { .describe(own, tenant: "t", $0) }
            #expect(left.map(\.id) == own.dropFirst().map(\.description))
        }
    }

    @Test func `a description of many is work for a turn of its own`() {
        let ids = (1...64).map { ConnectionID(raw: $0) }
        #expect(EdgeMessage.describe(ids, tenant: nil, { _ in }).weight == 256)
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
