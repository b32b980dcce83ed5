import Dialects
import Events
import Testing

@Suite struct DialectRegistryTests {
    @Test func `there are five, each with its own listener`() {
        #expect(DialectRegistry.all.map(\.profile.name) == DialectName.allCases)
        #expect(DialectRegistry.all.map(\.profile.listener) == [0, 1, 2, 3, 4])
    }

    @Test(
        arguments: [
            ("/v1/streams", DialectName.wave), ("/v1/stream", .airys), ("/api/v1/events", .grimnir),
            ("/source-saver", .sourceSaver),
            ("/astro", .astro), ("/ws", .astro), ("/v1/streams/", nil), ("/v1/stream/x", nil), ("/v1", nil),
            ("/api/v1/event", nil),
            ("/V1/stream", nil), ("", nil), ("/x", nil), ("//", nil),
        ] as [(String, DialectName?)])
    func `unique paths mean the same on every listener, and they are exact`(path: String, name: DialectName?) {
        for listener in 0..<5 {
            #expect(DialectRegistry.route(path: path, host: "localhost:3000", listener: listener)?.profile.name == name)
        }
    }

    @Test(
        arguments: [(0, DialectName.sourceSaver), (1, .astro), (2, .wave), (3, .grimnir), (4, .airys), (5, nil)]
            as [(Int, DialectName?)])
    func `the root belongs to the listener's dialect`(listener: Int, name: DialectName?) {
        #expect(DialectRegistry.route(path: "/", host: "localhost", listener: listener)?.profile.name == name)
        let request = UpgradeRequest(path: "/", headers: ["host": "Astro.example.com"])
        #expect(DialectRegistry.route(request, listener: listener)?.profile.name == .astro)
        let query = [(name: "reconnect_token", value: "")]
        #expect(DialectRegistry.route(path: "/", query: query, host: nil, listener: listener)?.profile.name == .astro)
        let elsewhere = DialectRegistry.route(
            path: "/v1/stream", query: query, host: "astro.example.com", listener: listener)
        #expect(elsewhere?.profile.name == .airys)
    }
}
