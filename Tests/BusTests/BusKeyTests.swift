import Configuration
import Events
import TestSupport
import Testing

@testable import Bus

private struct Echo: Command {
    typealias Answer = String
    static let name = "test.echo"
    static let service = ServiceName.auth
    static let askers: Set<BusRole> = .all
    var text: String
}

private struct Act: Command {
    typealias Answer = String
    static let name = "test.act"
    static let service = ServiceName.auth
    static let askers: Set<BusRole> = [.gateway]
}

private struct WhoAsks: Command {
    typealias Answer = String
    static let name = "test.whoAsks"
    static let service = ServiceName.auth
    static let askers: Set<BusRole> = [.suite, .auth, .gateway]
}

/// The bus with keys: who has one, and which, and who has none.
@Suite struct BusKeyTests {
    private static func key() -> BusKey { BusKey(secret: (0..<32).map { _ in UInt8.random(in: 0...255) }) }

    private let pairs: [BusRole: BusKey]
    private let peers: BusPeers
    private let events = freeEndpoint()
    private let commands = freeEndpoint()

    init() {
        let (suite, auth, gateway) = (Self.key(), Self.key(), Self.key())
        self.pairs = [.suite: suite, .auth: auth, .gateway: gateway]
        self.peers = BusPeers(suite: suite.publicKey, auth: auth.publicKey, gateway: gateway.publicKey)
    }

    private func keys(_ role: BusRole) throws -> BusKeys {
        let own = try #require(self.pairs[role])
        return try #require(BusKeys(own, peers: self.peers))
    }

    /// A stranger's, who knows the public halves of this suite's services and says that his own is the gateway's.
    private func strangersKeys() throws -> BusKeys {
        let own = Self.key()
        let peers = BusPeers(
            suite: self.peers.key(of: .suite), auth: self.peers.key(of: .auth), gateway: own.publicKey)
        return try #require(BusKeys(own, peers: peers))
    }

    private func endpoints(_ keys: BusKeys?, role: BusRole = .auth) -> BusEndpoints {
        BusEndpoints(events: self.events, commands: self.commands, keys: keys, role: role)
    }

    private func client(_ keys: BusKeys?, role: BusRole = .auth) -> CommandClient {
        CommandClient(endpoints: [.auth: self.endpoints(keys, role: role)], logger: quiet)
    }

    private func server(_ keys: BusKeys?) -> CommandServer {
        let server = CommandServer(endpoint: self.commands, keys: keys, logger: quiet)
        server.answer(Echo.self) { $0.text }
        server.answer(Act.self) { _ in "done" }
        server.answer(WhoAsks.self) { _, asker in asker?.rawValue ?? "nobody" }
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
    private func publish(
        _ publisher: Publisher, as name: ServiceName = .auth, until condition: () -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        while !condition(), ContinuousClock.now < deadline {
            await publisher.publish([Event.test(nil, publisher: name)])
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(condition())
    }

    // MARK: keys and their files

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

    @Test func `the file of public keys is read as it is written, and nothing else is`() {
        let text = self.peers.text
        #expect(BusPeers(text: text) == self.peers)
        #expect(BusPeers(text: text.split(separator: "\n").reversed().joined(separator: "\n")) == self.peers)
        let lines = text.split(separator: "\n").map(String.init)
        for wrong in [
            "", lines[0], "\(lines[0])\n\(lines[1])", "\(text)\(lines[0])\n", text.replacing("suite", with: "someone"),
            String(text.dropLast(2)), text.replacing(/[0-9a-f]{2}\n/, with: "zz\n"),
            ["suite", "auth", "gateway"].map { "\($0) \(String(repeating: "7", count: 64))\n" }.joined(),
        ] { #expect(BusPeers(text: wrong) == nil, "\(wrong)") }
    }

    private func config(
        for service: ServiceName, _ role: BusRole?, peers: String? = nil, isOpen: Bool = false
    ) throws(BusError) -> BusConfig {
        let config = ConfigReader(provider: InMemoryProvider(values: ["bus.open": .init(booleanLiteral: isOpen)]))
        return try BusConfig(
            config, for: service, portsBase: 3000, secret: role.flatMap { self.pairs[$0]?.secret },
            peers: peers ?? self.peers.text)
    }

    private func refusedKey(_ body: () throws(BusError) -> BusConfig) -> String? {
        do throws(BusError) {
            _ = try body()
            return nil
        } catch {
            if case .setting(let key, _) = error { return key }
            return nil
        }
    }

    @Test func `a process without its own role's key does not start, unless the bus is open`() throws {
        for service in ServiceName.allCases {
            #expect(try self.config(for: service, service.busRole).keys?.role == service.busRole)
            #expect(self.refusedKey { () throws(BusError) in try self.config(for: service, nil) } == "bus.key.file")
            for role in BusRole.allCases where role != service.busRole {
                #expect(
                    self.refusedKey { () throws(BusError) in try self.config(for: service, role) } == "bus.key.file")
            }
            #expect(
                self.refusedKey { () throws(BusError) in try self.config(for: service, service.busRole, peers: "x") }
                    == "bus.peers.file")
            #expect(try self.config(for: service, nil, isOpen: true).keys == nil)
        }
        let config = try self.config(for: .gateway, .gateway)
        #expect(config.endpoints[.auth]?.role == .auth)
        #expect(config.endpoints[.radioPlayout]?.role == .suite)
    }

    @Test func `who knows public keys only is turned away at the door, and others are called by their roles`() throws {
        func question(_ mechanism: String, _ credential: [UInt8]) -> [[UInt8]] {
            [Array("1.0".utf8), [7], Array("crosspoint".utf8), [], [], Array(mechanism.utf8), credential]
        }
        for (role, pair) in self.pairs {
            let answer = Gatekeeper.answer(question("CURVE", pair.publicKey), self.peers)
            #expect(answer[1...4] == [[7], Array("200".utf8), Array("OK".utf8), Array(role.rawValue.utf8)])
        }
        let suite = self.peers.key(of: .suite)
        for refused in [
            question("CURVE", Self.key().publicKey), question("CURVE", []), question("NULL", []),
            question("PLAIN", suite), [[]],
        ] {
            let answer = Gatekeeper.answer(refused, self.peers)
            #expect(answer[2] == Array("400".utf8))
            #expect(answer[4].isEmpty)
        }
    }

    // MARK: over sockets

    @Test func `with keys commands are answered, and events arrive`() async throws {
        let client = self.client(try self.keys(.suite))
        let collected = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: self.endpoints(try self.keys(.gateway))], logger: quiet) {
            events, _ in
            collected.add(events)
        }
        let publisher = try Publisher(endpoint: self.events, keys: self.keys(.auth))
        try await with(client, self.server(try self.keys(.auth)), subscriber) {
            #expect(await self.answer(client, within: .seconds(10)) == "hello")
            try await self.publish(publisher) { !collected.items.isEmpty }
        }
    }

    @Test(arguments: ["no key", "a stranger's key"])
    func `without the suite's nobody is answered, and nothing is heard`(which: String) async throws {
        let wrong = which == "no key" ? nil : try self.strangersKeys()
        let (client, entitled) = (self.client(wrong), self.client(try self.keys(.gateway)))
        let collected = Collected<Event>()
        let mine = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: self.endpoints(wrong)], logger: quiet) { events, _ in
            collected.add(events)
        }
        let own = Subscriber(publishers: [.auth: self.endpoints(try self.keys(.gateway))], logger: quiet) { events, _ in
            mine.add(events)
        }
        let publisher = try Publisher(endpoint: self.events, keys: self.keys(.auth))
        try await with(client, entitled, self.server(try self.keys(.auth)), subscriber, own) {
            #expect(await self.answer(client, within: .seconds(2)) == nil)
            #expect(await self.answer(entitled, within: .seconds(10)) == "hello")
            try await self.publish(publisher) { mine.items.count > 10 }
            #expect(collected.items.isEmpty)
        }
    }

    @Test func `a command is carried out for its askers only`() async throws {
        let (suite, gateway) = (self.client(try self.keys(.suite)), self.client(try self.keys(.gateway)))
        try await with(suite, gateway, self.server(try self.keys(.auth))) {
            #expect(await self.answer(suite, within: .seconds(10)) == "hello")
            #expect(await self.answer(gateway, within: .seconds(10)) == "hello")
            let done = try await gateway.call(Act())
            #expect(done == "done")
            await #expect(throws: CommandFailure(.forbidden, "test.act is not for this process to send")) {
                try await suite.call(Act())
            }
            let roles = [try await suite.call(WhoAsks()), try await gateway.call(WhoAsks())]
            #expect(roles == ["suite", "gateway"])
        }
    }

    @Test func `on an open bus everything is carried out, for nobody in particular`() async throws {
        let client = self.client(nil)
        try await with(client, self.server(nil)) {
            #expect(await self.answer(client, within: .seconds(10)) == "hello")
            let answers = [try await client.call(Act()), try await client.call(WhoAsks())]
            #expect(answers == ["done", "nobody"])
        }
    }

    @Test func `who has the suite's key cannot be auth`() async throws {
        let (deceived, other) = (
            self.client(try self.keys(.gateway)), self.client(try self.keys(.gateway), role: .suite)
        )
        let collected = Collected<Event>()
        let others = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: self.endpoints(try self.keys(.gateway))], logger: quiet) {
            events, _ in
            collected.add(events)
        }
        let listener = Subscriber(
            publishers: [.auth: self.endpoints(try self.keys(.gateway), role: .suite)], logger: quiet
        ) { events, _ in others.add(events) }
        let publisher = try Publisher(endpoint: self.events, keys: self.keys(.suite))
        try await with(deceived, other, self.server(try self.keys(.suite)), subscriber, listener) {
            // Whoever takes it for another service of the suite hears it: it is there.
            #expect(await self.answer(other, within: .seconds(10)) == "hello")
            #expect(await self.answer(deceived, within: .seconds(1)) == nil)
            try await self.publish(publisher) { others.items.count > 10 }
            #expect(collected.items.isEmpty)
        }
    }

    @Test func `an event of auth's that another service publishes is not taken`() async throws {
        let auth = BusEndpoints(
            events: freeEndpoint(), commands: freeEndpoint(), keys: try self.keys(.gateway), role: .auth)
        let radio = self.endpoints(try self.keys(.gateway), role: .suite)
        let collected = Collected<Event>()
        let subscriber = Subscriber(publishers: [.auth: auth, .radioPlayout: radio], logger: quiet) { events, _ in
            collected.add(events)
        }
        let real = try Publisher(endpoint: auth.events, keys: self.keys(.auth))
        let publisher = try Publisher(endpoint: self.events, keys: self.keys(.suite))
        try await with(subscriber) {
            try await self.publish(publisher, as: .radioPlayout) { !collected.items.isEmpty }
            for _ in 0..<20 { await publisher.publish([Event.test(nil, publisher: .auth)]) }
            // In order behind those.
            let before = collected.items.count
            try await self.publish(publisher, as: .radioPlayout) { collected.items.count > before }
            #expect(collected.items.allSatisfy { $0.publisher == .radioPlayout })
            try await self.publish(real) { collected.items.contains { $0.publisher == .auth } }
        }
    }
}
