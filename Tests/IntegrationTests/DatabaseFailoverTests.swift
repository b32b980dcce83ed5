import Events
import TestSupport
import Testing

/// Postgres is restored, or a standby takes over: acknowledged events are lost, their numbers are given out again, and every client
/// hears what happens from then on, once and in order.
@Suite(
    "Database failover", .enabled(if: Suite.isEnabled && PostgresFixture.isAvailable, Suite.reason), .serialized)
struct DatabaseFailoverTests {
    private static let services: [ServiceName] = [.auth, .radioPlayout]

    @Test func `after a promotion of a standby that was behind, nothing new is missed and nothing old comes again`()
        async throws
    {
        try await PostgresFixture.with { primary in
            try await primary.withStandby { standby in
                let url = PostgresFixture.url(of: [primary, standby])
                try await Suite.with(Self.services, databaseURL: url) { suite in
                    let radio = try await RadioBroadcast(suite)
                    let clients = try await radio.listenInEachWay()
                    let kept = ["kept 1", "kept 2"]
                    try await radio.play(kept)
                    try await primary.waitUntilFollowed()
                    try await standby.stopReceiving(from: primary)
                    let lost = ["lost 1", "lost 2", "lost 3"]
                    try await radio.play(lost)
                    try await radio.expect(kept + lost, at: clients)

                    try await primary.crash()
                    try await standby.promote()
                    // Their numbers are those of the lost ones, and two more.
                    let new = ["new 1", "new 2", "new 3", "new 4", "new 5"]
                    try await radio.play(new)
                    try await radio.expect(new, at: clients)
                    try await suite.waitUntilGatewayHears(Self.services)
                    try await Self.expectMetrics(rewinds: 1, changes: 0, of: suite)
                }
            }
        }
    }

    @Test func `after restores to a moment, nothing new is missed and nothing old comes again`() async throws {
        try await PostgresFixture.withArchive { postgres in
            try await Suite.with(Self.services, gateways: 2, databaseURL: postgres.url) { suite in
                let radio = try await RadioBroadcast(suite)
                let clients = try await radio.listenInEachWay()
                var traveller = try await radio.listen(gateway: 1)
                let kept = ["kept 1", "kept 2"]
                try await radio.play(["kept 1"])
                try await postgres.backUp()
                try await radio.play(["kept 2"])
                let moment = try await postgres.moment()
                let lost = ["lost 1", "lost 2", "lost 3"]
                try await radio.play(lost)
                try await radio.expect(kept + lost, at: clients + [traveller])
                let first = try await radio.leave(traveller, gateway: 1)

                try await postgres.stop()
                try await postgres.restore(to: moment)
                let new = ["new 1", "new 2", "new 3", "new 4"]
                try await radio.play(new)
                try suite.startGateway(1)
                try await suite.waitUntilGatewayHears(Self.services, 1)
                traveller = try await radio.comeBack(first, gateway: 1)
                try await radio.expect(new, at: clients + [traveller])
                try await Self.expectMetrics(rewinds: 1, changes: 0, of: suite)
                let second = try await radio.leave(traveller, gateway: 1)

                // To the same moment again: the log now does not know the term that all stand in.
                try await postgres.stop()
                try await suite.kill9(.radioPlayout)
                try suite.start(.radioPlayout)
                try await postgres.restore(to: moment)
                let newer = ["newer 1", "newer 2", "newer 3"]
                try await radio.play(newer)
                traveller = try await radio.comeBack(second, gateway: 0)
                try await radio.play(["the end"])
                try await radio.expect(newer + ["the end"], at: clients)
                // It left with its place in a term that is unknown now: its log is read from some seconds before it left.
                try await radio.expect(newer + ["the end"], after: kept, at: [traveller])
                try await suite.waitUntilGatewayHears(Self.services)
                try await Self.expectMetrics(rewinds: 1, changes: 1, of: suite)
            }
        }
    }

    private static func expectMetrics(rewinds: Double, changes: Double, of suite: Suite) async throws {
        let port = suite.operatorsPort()
        let publisher = #"{publisher="radio-playout"}"#
        #expect(try await Suite.metric("bus_log_rewinds_total\(publisher)", port: port) ?? 0 == rewinds)
        #expect(try await Suite.metric("bus_log_changes_total\(publisher)", port: port) ?? 0 == changes)
        #expect(try await Suite.metric("bus_events_lost_total", port: port) ?? 0 == 0)
    }
}
