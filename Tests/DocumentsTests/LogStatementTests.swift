import Testing

/// The statements that read the event log are where the test of their plans finds them.
@Suite struct LogStatementTests {
    @Test func `nothing else reads the log`() {
        let readers = Repository.textFiles.filter { path in
            (path.hasPrefix("Shared/") || path.hasPrefix("Services/"))
                && Repository.text(path)?.firstMatch(of: /\b(FROM|JOIN|from|join)\s+event_log\b/) != nil
        }
        // The second holds what `LogStatement.replay` is.
        #expect(readers == ["Shared/Database/EventLog+Replay.swift", "Shared/Database/LogStatement.swift"])
    }
}
