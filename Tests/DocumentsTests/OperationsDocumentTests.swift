import Dialects
import Testing

/// What operations.md says of metrics, close codes and refusals is what the code does.
@Suite struct OperationsDocumentTests {
    private static let document = "docs/operations.md"

    // MARK: metrics

    private struct Metric: Hashable {
        let name: String
        let kind: String
        let label: String
    }

    /// Metrics are made by `Counter(label: "name")` and the like, with at most one dimension. A timer is shown in seconds.
    private static func made() -> (metrics: Set<Metric>, calls: Int) {
        var metrics: Set<Metric> = []
        var calls = 0
        for path in Repository.textFiles where path.hasSuffix(".swift") && !path.hasPrefix("Tests/") {
            let text = Repository.text(path) ?? ""
            calls += text.matches(of: /\b(?:Counter|FloatingPointCounter|Gauge|Meter|Recorder|Timer)\(\s*label:/).count
            let literal =
                /\b(Counter|FloatingPointCounter|Gauge|Meter|Recorder|Timer)\(\s*label: "(\w+)"(?:,\s*dimensions: \[\("(\w+)")?/
            for match in text.matches(of: literal) {
                calls -= 1
                let kind =
                    switch match.1 {
                    case "Counter", "FloatingPointCounter": "counter"
                    case "Gauge", "Meter": "gauge"
                    default: "histogram"
                    }
                metrics.insert(Metric(name: String(match.2), kind: kind, label: match.3.map(String.init) ?? ""))
            }
        }
        return (metrics, calls)
    }

    @Test func `it lists the metrics that the code makes, with their kinds and labels`() {
        let made = Self.made()
        #expect(made.calls == 0, "a metric whose name is not a literal cannot be compared")
        let rows = Table.rows(of: Self.document, under: "Metrics")
        let documented = rows.map { Metric(name: Table.code($0[0]), kind: $0[1], label: Table.code($0[2])) }
        #expect(Set(documented) == made.metrics)
        #expect(Set(documented).count == documented.count)
        for row in rows {
            #expect(row.count == 6 && row.allSatisfy { !$0.isEmpty || $0 == row[2] }, "\(row)")
            #expect(row[0].contains("_seconds") == (row[3] == "seconds"), "\(row)")
        }
    }

    // MARK: queues

    @Test func `it lists the queues that are measured`() {
        var made: Set<String> = []
        for path in Repository.textFiles where path.hasSuffix(".swift") && !path.hasPrefix("Tests/") {
            for match in (Repository.text(path) ?? "").matches(of: /QueueMetrics\(queue: "([\w-]+)"\)/) {
                made.insert(String(match.1))
            }
        }
        let rows = Table.rows(of: Self.document, under: "Queues")
        #expect(Set(rows.map { Table.code($0[0]) }) == made)
        #expect(rows.count == made.count)
        for row in rows { #expect(row.count == 5 && row.allSatisfy { !$0.isEmpty }, "\(row)") }
    }

    // MARK: close codes

    /// In the dialects and the gateway: `Closing(1008, "too slow")`; below them: `close(code: 1009, reason: "message too big"`.
    private static func closings() -> Set<String> {
        var closings: Set<String> = []
        for path in Repository.textFiles
        where ["Shared/Dialects/", "Shared/WebSockets/", "Services/Gateway/"].contains(where: path.hasPrefix) {
            let text = Repository.text(path) ?? ""
            for match in text.matches(of: /(?:Closing\(|close\(code: )(\d{4}), (?:reason: )?"([^"]+)"/) {
                closings.insert("\(match.1) \(match.2)")
            }
        }
        return closings
    }

    @Test func `it lists the close codes and reasons that the code has`() {
        let documented = Table.rows(of: Self.document, under: "Close codes").filter { $0[0] != "`1006`" }
            .map { "\(Table.code($0[0])) \(Table.code($0[1]))" }
        #expect(Set(documented) == Self.closings())
        #expect(Set(documented).count == documented.count)
    }

    // MARK: refusals

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `it says with which status each dialect refuses`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        let row = try #require(
            Table.rows(of: Self.document, under: "Refusals").first { Table.code($0[0]) == name.rawValue })
        let stranger = UpgradeRequest(path: dialect.profile.paths[0], remoteAddress: "192.0.2.1", isLocal: false)
        var bare: Int?
        if case .refuse(let refusal) = dialect.admit(stranger) { bare = refusal.status }
        let profile = dialect.profile
        let statuses = [
            bare, profile.attemptRate == nil ? nil : profile.attemptRefusal.status, profile.connectionsRefusal.status,
            profile.drainRefusal.status,
        ]
        #expect(row.dropFirst().map { Int($0.prefix(3)) } == statuses)
    }
}
