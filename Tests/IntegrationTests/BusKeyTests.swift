import Bus
import Database
import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing

/// Who may do what on the bus of a running suite, by the key that it proves.
@Suite("Bus keys", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct BusKeyTests {
    /// Seconds in which a service announces itself more than once.
    private static let silence = Duration.seconds(3)

    private static func stranger(_ peers: BusPeers) throws -> BusKeys {
        let own = BusKey(secret: (0..<32).map { _ in UInt8.random(in: 0...255) })
        let other = BusKey(secret: (0..<32).map { _ in UInt8.random(in: 0...255) })
        // It takes any key for the one that it is to find.
        return try #require(
            BusKeys(own, peers: BusPeers(suite: other.publicKey, auth: own.publicKey, gateway: other.publicKey)))
    }

    @Test func `each process does with its key what its role may, and without one nothing`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            try await Self.onlyGatewaysSendForClients(suite)
            try await Self.strangersHearAndSayNothing(suite)
            try await Self.nobodyElseIsAuth(suite)
            try await Self.aKeyIsRequired(suite)
        }
    }

    /// A chat line that carries somebody's name is taken from a gateway only.
    private static func onlyGatewaysSendForClients(_ suite: Suite) async throws {
        let streams = try await StreamsClient(suite)
        let stream = try await streams.create()
        try await streams.succeed("POST", "/\(stream)/start")
        let boss = Principal(
            subject: "owner", name: "The Boss", tenant: streams.tenant, scopes: Scopes(claim: "*"), credential: .jwt,
            credentialID: "forged")
        let (chat, reaction) = (
            SendChat(stream: stream, message: "I said so", sender: boss),
            SendReaction(stream: stream, reaction: "👍", sender: boss)
        )
        for role in [BusRole.suite, .auth] {
            #expect(await Self.failure { try await suite.call(chat, as: role) } == .forbidden)
            #expect(await Self.failure { try await suite.call(reaction, as: role) } == .forbidden)
            let spend = SpendToken(id: "stolen", until: .now + .seconds(60))
            #expect(await Self.failure { try await suite.call(spend, as: role) } == .forbidden)
        }
        // None of it has happened.
        #expect(try await suite.call(SpendToken(id: "stolen", until: .now + .seconds(60))).isFirst)
        #expect(!(try await suite.call(chat).messageID.isEmpty))
        #expect(try await suite.call(reaction).count == 1)
    }

    /// Without a key, or with one that is not the suite's, nothing is heard and nobody answers, while others are heard and answered.
    private static func strangersHearAndSayNothing(_ suite: Suite) async throws {
        let service = ServiceName.streamMetrics
        let gateway = try suite.bus.keys(.gateway)
        let publicOnly = try #require(
            BusPeers(text: String(contentsOf: suite.bus.peersFile, encoding: .utf8)))
        let keyless = suite.endpoints(of: service, nil)
        let strange = suite.endpoints(of: service, try Self.stranger(publicOnly))
        let heard = HeardPublishers(), heardWithout = HeardPublishers(), heardStrange = HeardPublishers()
        func listen(_ endpoints: BusEndpoints, _ heard: HeardPublishers) -> Subscriber {
            Subscriber(publishers: [service: endpoints], logger: quiet, heard: heard) { _, _ in }
        }
        let (client, intruder) = (
            CommandClient(endpoints: [service: keyless], logger: quiet),
            CommandClient(endpoints: [service: strange], logger: quiet)
        )
        try await TestSupport.with(
            client, intruder, listen(keyless, heardWithout), listen(strange, heardStrange),
            listen(suite.endpoints(of: service, gateway), heard)
        ) {
            try await Suite.eventually("a gateway hears it") { heard.state(of: service).isHeard }
            for caller in [client, intruder] {
                #expect(
                    await Self.failure {
                        try await caller.call(service, FindStream.name, body: [], timeout: .seconds(1))
                    } == .unavailable)
            }
            // A publisher says every second how far its log goes.
            try await Suite.holds("strangers hear nobody", for: Self.silence) {
                !heardWithout.state(of: service).isHeard && !heardStrange.state(of: service).isHeard
            }
            #expect(heard.state(of: service).isHeard)
        }
    }

    /// A process with the suite's key on auth's ports is not listened to.
    private static func nobodyElseIsAuth(_ suite: Suite) async throws {
        try await suite.end("auth", SIGTERM)
        let asked = NIOLockedValueBox(0)
        let own = suite.endpoints(of: .auth, nil)
        let impostor = CommandServer(endpoint: own.commands, keys: try suite.bus.keys(.suite), logger: quiet)
        for name in [FetchKeys.name, FetchRevocations.name, Introspect.name, ReportRefusals.name] {
            impostor.answer(name, from: .all) { _ in
                asked.withLockedValue { $0 += 1 }
                return []
            }
        }
        try await TestSupport.with(impostor) {
            // Both processes ask auth every few seconds, and at once for a key that they do not know.
            let refused = try await suite.request(
                "GET", .streamMetrics, "/v1/streams", token: "xp_\(String(repeating: "0", count: 64))")
            #expect(refused.status == 503)
            try await Suite.holds("nobody asks it", for: Self.silence) { asked.withLockedValue { $0 } == 0 }
        }
        try suite.start(.auth)
        try await suite.waitUntilReady(.auth)
        try await suite.waitUntilReady(.streamMetrics)
    }

    /// A process without its key, or with another role's, ends at its start and names the setting.
    private static func aKeyIsRequired(_ suite: Suite) async throws {
        for wrong in ["", suite.bus.keyFile(.suite).path, suite.bus.keyFile(.auth).path] {
            try suite.startGateway(1, environment: ["BUS_KEY_FILE": wrong])
            try await Suite.eventually("it ends") { !suite.isRunning("gateway-1") }
            #expect(suite.log("gateway-1").contains("bus.key.file"))
        }
    }

    private static func failure(_ body: () async throws -> some Any) async -> CommandFailure.Code? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? CommandFailure)?.code
        }
    }
}
