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

/// What a loop does for clients that come from another gateway, with real connections and a publisher's log.
@Suite struct HandOverTests {
    /// The log of a stream-metrics that answers replays, and counts them.
    private final class Log: Sendable {
        let events: [Event]
        let asked = NIOLockedValueBox(0)
        let server: CommandServer
        let endpoints: [ServiceName: BusEndpoints]

        init(_ events: [Event]) {
            let endpoint = freeEndpoint()
            self.events = events
            self.server = CommandServer(endpoint: endpoint, logger: quiet)
            self.endpoints = [.streamMetrics: BusEndpoints(events: endpoint, commands: endpoint)]
            self.server.answer(ReplayRequest.name, from: .all) { [asked] bytes in
                asked.withLockedValue { $0 += 1 }
                let request = try JSON.decode(ReplayRequest.self, from: bytes)
                let after = request.after?.seq ?? 0
                let rest = events.filter { ($0.position?.seq ?? 0) > after }.prefix(request.limit)
                let head = Position(epoch: 1, term: 1, seq: events.last?.position?.seq ?? after)
                let page = ReplayPage(
                    head: head, after: after, isContinuation: request.after != nil, events: Array(rest))
                return page.bytes
            }
        }
    }

    /// A loop, and what answers its questions.
    private func with(
        _ log: Log, isReachable: Bool = true, _ body: @Sendable (Loop<EdgeHandler>) async throws -> Void
    ) async throws {
        let client = CommandClient(endpoints: isReachable ? log.endpoints : [:], logger: quiet)
        let seats = SeatLeases(instance: "one", commands: client)
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let tokens = await ReconnectTokens(key: nil, commands: client, logger: quiet)
        let enquiries = Enquiries(commands: client, verifier: verifier, seats: seats, tokens: tokens)
        let own = NIOLockedValueBox<Loop<EdgeHandler>?>(nil)
        let loop = try Loop<EdgeHandler>(name: "test", mailboxCapacity: 10_000, logger: quiet) {
            EdgeHandler(
                census: Census(), publishers: HeardPublishers(), enquiries: enquiries, seats: seats,
                isRevoked: { _ in false }, logger: quiet,
                post: { message in own.withLockedValue { $0 }?.postAnswer(message) })
        }
        own.withLockedValue { $0 = loop }
        do {
            try await TestSupport.with(log.server, client, enquiries) { try await body(loop) }
        } catch {
            await loop.stop()
            throw error
        }
        await loop.stop()
    }

    /// Connections of Astro clients that were let in.
    private static func open(
        _ loop: Loop<EdgeHandler>, _ count: Int
    ) async throws -> [(client: WebSocketClient, id: ConnectionID)] {
        let port = try #require(freeEndpoint().split(separator: ":").last.flatMap { Int($0) })
        let listener = try TCPSocket.listen(host: "127.0.0.1", port: port)
        defer { listener.close() }
        let place = try #require(DialectRegistry.all.firstIndex { $0.profile.name == .astro })
        var clients: [(client: WebSocketClient, id: ConnectionID)] = []
        for _ in 0..<count {
            async let client = WebSocketClient.connect(port: port)
            _ = await SocketPoller.shared.wait(for: listener.descriptor, .readable)
            guard case .socket(let socket, _) = listener.accept() else {
                throw TCPSocket.Failure(what: "accept", code: 0)
            }
            _ = await SocketPoller.shared.wait(for: socket.descriptor, .readable)
            // The client sends its head in one piece.
            guard case .bytes(let bytes) = socket.read(upTo: 4096), case .complete(let head) = RequestHead.parse(bytes)
            else { throw TCPSocket.Failure(what: "read", code: 0) }
            let upgrade = Upgrade(
                descriptor: socket.descriptor, key: head.headers["sec-websocket-key"] ?? "", messageBytesMax: 65536)
            let arrival = Arrival(
                upgrade: upgrade, dialect: place, request: UpgradeRequest(path: "/", query: []), principal: nil,
                introduction: nil)
            #expect(loop.post(.adopt(arrival)))
            clients.append((try await client, upgrade.id))
        }
        return clients
    }

    private static func event(
        _ seq: UInt64, _ type: EventType = "channel.activities", at time: Timestamp = .now
    ) -> Event {
        var event = Event(type, ["number": .integer(Int64(seq))], tenant: "t", publisher: .streamMetrics, time: time)
        event.position = Position(epoch: 1, term: 1, seq: seq)
        return event
    }

    /// What a token is worth with which a client comes that listens to a topic.
    private static func redeemed(
        _ topic: String = "channel.activities", told: UInt64, since: Timestamp = .now - .seconds(3600)
    ) -> ReconnectTokens.Redeemed {
        ReconnectTokens.Redeemed(
            content: ReconnectTokens.Content(
                handOver: HandOver(
                    principals: [
                        Principal(
                            subject: "user", name: "n", tenant: "t", scopes: [.all], credential: .jwt,
                            credentialID: "one", expires: .now + .seconds(3600))
                    ],
                    session: ["client_id": "c", "subs": [[.string(topic), "t", 0]], "names": [:]]),
                positions: ["stream-metrics": Position(epoch: 1, term: 1, seq: told)], since: since),
            issued: .now)
    }

    /// The number in the next event that a client is given.
    private static func nextNumber(_ client: WebSocketClient) async throws -> Int64? {
        while true {
            let message = JSON(parsing: Array(try await client.nextText().utf8))
            if message?["type"] == "message" { return message?["data"]?["number"]?.integer }
        }
    }

    @Test func `a thousand clients that come from one gateway read each page of a log once`() async throws {
        // Two pages of a hundred; of three events anybody wants to hear.
        let log = Log(
            (1...150).map { Self.event($0, $0 % 60 == 0 || $0 == 150 ? "channel.activities" : "channel.tips") })
        try await self.with(log) { loop in
            #expect(loop.post(.events([log.events[149]], isRepaired: false)))
            let clients = try await Self.open(loop, 1000)
            for half in [clients[..<500], clients[500...]] {
                for (_, id) in half { #expect(loop.post(.resumed(id, Self.redeemed(told: 0)))) }
                for (client, _) in half {
                    for number: Int64 in [60, 120, 150] { #expect(try await Self.nextNumber(client) == number) }
                }
            }
            #expect(log.asked.withLockedValue { $0 } == 2)
            // And once what comes now.
            #expect(loop.post(.events([Self.event(151)], isRepaired: false)))
            for (client, _) in clients { #expect(try await Self.nextNumber(client) == 151) }
            #expect(log.asked.withLockedValue { $0 } == 2)
        }
    }

    @Test func `a client is closed that lacks what no log has or no publisher tells, and others go on`() async throws {
        let log = Log([Self.event(9)])
        try await self.with(log) { loop in
            #expect(loop.post(.events([Self.event(9)], isRepaired: false)))
            let (client, id) = try await Self.open(loop, 1)[0]
            #expect(loop.post(.resumed(id, Self.redeemed(told: 5))))
            #expect(try await client.closing(within: .seconds(10)) == (1011, "missed events unavailable"))
        }
        // Nobody answers, for ten seconds.
        try await self.with(log, isReachable: false) { loop in
            #expect(loop.post(.events([Self.event(9)], isRepaired: false)))
            let clients = try await Self.open(loop, 2)
            let (concerned, other) = (clients[0], clients[1])
            #expect(loop.post(.resumed(concerned.id, Self.redeemed(told: 5))))
            #expect(loop.post(.resumed(other.id, Self.redeemed("radio.now_playing", told: 5))))
            #expect(try await concerned.client.closing(within: .seconds(20)) == (1011, "missed events unavailable"))
            try await other.client.ping([1])
            #expect(try await other.client.nextPong() == [1])
        }
    }

    @Test func `an event that was missed and comes late is given to those only who listened when it happened`()
        async throws
    {
        try await self.with(Log([])) { loop in
            let now = Timestamp.now
            #expect(loop.post(.events([Self.event(5)], isRepaired: false)))
            let clients = try await Self.open(loop, 2)
            let (old, new) = (clients[0], clients[1])
            let hourAgo = now - .seconds(3600)
            #expect(loop.post(.resumed(old.id, Self.redeemed(told: 5, since: hourAgo))))
            #expect(loop.post(.resumed(new.id, Self.redeemed(told: 5, since: now))))
            let late = Self.event(6, at: now - .seconds(60))
            #expect(loop.post(.events([late, Self.event(7, at: now - .seconds(3))], isRepaired: true)))
            #expect(loop.post(.events([Self.event(8, at: now - .seconds(60))], isRepaired: false)))
            for number: Int64 in [6, 7, 8] { #expect(try await Self.nextNumber(old.client) == number) }
            for number: Int64 in [7, 8] { #expect(try await Self.nextNumber(new.client) == number) }
            let why = await withCheckedContinuation { (answer: CheckedContinuation<Explanation?, Never>) in
                let isTaken = loop.post(
                    .explain(connection: new.id.description, event: late.id) { answer.resume(returning: $0) })
                if !isTaken { answer.resume(returning: nil) }
            }
            #expect(why?.answer == "filtered: it came late, and had not been asked for when it happened")
        }
    }
}
