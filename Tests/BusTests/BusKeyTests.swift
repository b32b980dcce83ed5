import CZeroMQ
import Events
import TestSupport
import Testing

@testable import Bus

private struct Echo: Command {
    typealias Answer = String
    static let name = "test.echo"
    static let service = ServiceName.auth
    var text: String
}

/// The bus with a key: who has it, and who does not.
@Suite struct BusKeyTests {
    private let key = BusKey(secret: (0..<32).map { _ in UInt8.random(in: 0...255) })
    private let other = BusKey(secret: (0..<32).map { _ in UInt8.random(in: 0...255) })
    private let events = freeEndpoint()
    private let commands = freeEndpoint()

    private func endpoints(_ key: BusKey?) -> BusEndpoints {
        BusEndpoints(events: self.events, commands: self.commands, key: key)
    }

    private func server(_ key: BusKey?) -> CommandServer {
        let server = CommandServer(endpoint: self.commands, key: key, logger: quiet)
        server.answer(Echo.self) { $0.text }
        return server
    }

    private func answer(_ client: CommandClient, within time: Duration) async -> String? {
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            if let answer = try? await client.call(Echo(text: "hello")) { return answer }
        }
        return nil
    }

    /// Publishes until something is true, again and again: a PUB socket does not say when somebody listens.
    private func publish(_ publisher: Publisher, until condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        while !condition(), ContinuousClock.now < deadline {
            await publisher.publish([Event.test(nil)])
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(condition())
    }

    @Test func `a public key follows from the secret one`() {
        // RFC 7748 §6.1, Alice's.
        let secret: [UInt8] = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c,
            0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
        ]
        let expected: [UInt8] = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf,
            0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
        ]
        #expect(BusKey(secret: secret).publicKey == expected)
    }

    @Test func `a bus without a key is open unless only this machine reaches it`() {
        #expect(BusEndpoints(host: "*", port: 3021, key: nil).isOpen)
        #expect(BusEndpoints(host: "192.0.2.1", port: 3021, key: nil).isOpen)
        #expect(!BusEndpoints(host: "*", port: 3021, key: self.key).isOpen)
        #expect(!BusEndpoints(host: "127.0.0.1", port: 3021, key: nil).isOpen)
    }

    @Test func `with the key commands are answered, and events arrive`() async throws {
        let client = CommandClient(endpoints: [.auth: self.endpoints(self.key)], logger: quiet)
        let collected = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: self.endpoints(self.key)], logger: quiet) { collected.add($0) }
        let publisher = try Publisher(endpoint: self.events, key: self.key)
        try await with(client, self.server(self.key), subscriber) {
            #expect(await self.answer(client, within: .seconds(10)) == "hello")
            try await self.publish(publisher) { !collected.items.isEmpty }
        }
    }

    @Test(arguments: ["none", "another"])
    func `without it nobody is answered, and nothing is heard`(which: String) async throws {
        let wrong = which == "none" ? nil : self.other
        let client = CommandClient(endpoints: [.auth: self.endpoints(wrong)], logger: quiet)
        let entitled = CommandClient(endpoints: [.auth: self.endpoints(self.key)], logger: quiet)
        let collected = Collected<Event>()
        let mine = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: self.endpoints(wrong)], logger: quiet) { collected.add($0) }
        let own = Subscriber(publishers: [.auth: self.endpoints(self.key)], logger: quiet) { mine.add($0) }
        let publisher = try Publisher(endpoint: self.events, key: self.key)
        try await with(client, entitled, self.server(self.key), subscriber, own) {
            #expect(await self.answer(client, within: .seconds(2)) == nil)
            #expect(await self.answer(entitled, within: .seconds(10)) == "hello")
            try await self.publish(publisher) { mine.items.count > 10 }
            #expect(collected.items.isEmpty)
        }
    }

    @Test func `who knows the public key only is turned away at the door`() {
        func question(_ mechanism: String, _ credential: [UInt8]) -> [[UInt8]] {
            [Array("1.0".utf8), [7], Array("crosspoint".utf8), [], [], Array(mechanism.utf8), credential]
        }
        let ours = Gatekeeper.answer(question("CURVE", self.key.publicKey), self.key)
        #expect(ours[1] == [7])
        #expect(ours[2] == Array("200".utf8))
        for refused in [
            question("CURVE", self.other.publicKey), question("NULL", []), question("PLAIN", self.key.publicKey), [[]],
        ] {
            #expect(Gatekeeper.answer(refused, self.key)[2] == Array("400".utf8))
        }
    }

    @Test func `a client with a key of its own that knows ours is not let in`() async throws {
        try await with(self.server(self.key)) {
            let socket = try Socket(.dealer, in: Context())
            try socket.set(ZMQ_CURVE_SERVERKEY, self.key.publicKey)
            try socket.set(ZMQ_CURVE_PUBLICKEY, self.other.publicKey)
            try socket.set(ZMQ_CURVE_SECRETKEY, self.other.secret)
            try socket.connect(self.commands)
            let request = CommandRequest(
                correlation: 1, deadline: .now + .seconds(5), name: Echo.name, body: JSON.encode(Echo(text: "x")))
            _ = try socket.send(request.frames)
            var poll = Poll([socket])
            try poll.wait(timeout: .seconds(2))
            #expect(try socket.receive() == nil)
        }
    }
}
