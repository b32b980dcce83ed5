/// What some rounds of one thing took, each round many times the thing.
struct Measurement {
    let name: String
    /// Seconds for one, a round each.
    private(set) var rounds: [Double] = []

    init(_ name: String) { self.name = name }

    /// Runs one round.
    mutating func round(of count: Int, _ body: () async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await body()
        let time = ContinuousClock.now - start
        self.rounds.append(
            (Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18) / Double(count))
    }

    /// Seconds for one, in the median round.
    var median: Double { self.rounds.sorted()[self.rounds.count / 2] }

    /// A row of a Markdown table: microseconds (least, median, most) and how many a second.
    var row: String {
        let sorted = self.rounds.sorted().map { Self.number($0 * 1e6) }
        let rate = Int((1 / self.median).rounded())
        return
            "| \(self.name) | \(sorted.first ?? "") | \(Self.number(self.median * 1e6)) | \(sorted.last ?? "") | \(rate) |"
    }

    static let header = "| | µs least | median | most | per second |\n| --- | ---: | ---: | ---: | ---: |"

    static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
