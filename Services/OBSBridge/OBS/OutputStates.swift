import ForeignMessages

/// What OBS last told of its outputs (contract obs-websocket §5), for those who wait for one to start or stop.
struct OutputStates: Sendable {
    enum Output: String, Sendable { case stream = "StreamStateChanged", record = "RecordStateChanged" }

    struct Told: Sendable {
        /// How many times OBS told of this output.
        var count = 0
        /// Without the prefix `OBS_WEBSOCKET_OUTPUT_`.
        var state = ""
        var path: String?
    }

    private var told: [Output: Told] = [:]

    mutating func heard(_ event: OBSEvent) {
        guard let output = Output(rawValue: event.type) else { return }
        self.told[output, default: Told()].count += 1
        self.told[output]?.state = event["outputState"].map { $0.replacing("OBS_WEBSOCKET_OUTPUT_", with: "") } ?? ""
        self.told[output]?.path = event["outputPath"]
    }

    func last(_ output: Output) -> Told { self.told[output] ?? Told() }
}
