import Database
import Events
import Glibc
import TestSupport
import Testing

/// A publisher's log goes back or becomes another one between two lives of the publisher, under a gateway that goes on.
@Suite(
    "Log changes", .enabled(if: Suite.isEnabled && PostgresFixture.isAvailable, Suite.reason), .serialized)
struct LogChangesTests {
    @Test func `new events that take lost numbers are heard, and another epoch brings nothing old`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .radioPlayout], databaseURL: url) { suite in
                let radio = try await RadioBroadcast(suite)
                let clients = try await radio.listenInEachWay()
                let before = (1...20).map { "before \($0)" }
                try await radio.play(before)
                try await radio.expect(before, at: clients)

                // A standby that was ten events behind would leave the log like this.
                try await Self.change(
                    "DELETE FROM event_log WHERE seq > (SELECT seq - 10 FROM event_head)",
                    "UPDATE event_head SET seq = seq - 10", of: url, suite)
                let after = (1...15).map { "after \($0)" }
                try await radio.play(after)
                try await radio.expect(after, at: clients)
                try await Self.expectMetrics(rewinds: 1, changes: 0, of: suite)

                try await Self.change("UPDATE event_head SET epoch = epoch + 1", of: url, suite)
                let last = (1...3).map { "last \($0)" }
                try await radio.play(last)
                try await radio.expect(last, at: clients)
                try await Self.expectMetrics(rewinds: 1, changes: 1, of: suite)
            }
        }
    }

    /// Changes the log while its service is down.
    private static func change(_ queries: Query..., of url: String, _ suite: Suite) async throws {
        try await suite.end("radio-playout", SIGTERM)
        for query in queries { try await Suite.query(url, schema: "radio_playout", query) }
        try suite.start(.radioPlayout)
        try await suite.waitUntilReady(.radioPlayout)
    }

    private static func expectMetrics(rewinds: Double, changes: Double, of suite: Suite) async throws {
        let port = suite.operatorsPort()
        let publisher = #"{publisher="radio-playout"}"#
        #expect(try await Suite.metric("bus_log_rewinds_total\(publisher)", port: port) ?? 0 == rewinds)
        #expect(try await Suite.metric("bus_log_changes_total\(publisher)", port: port) ?? 0 == changes)
        #expect(try await Suite.metric("bus_events_lost_total", port: port) ?? 0 == 0)
    }
}
