import TestSupport

extension Suite {
    /// The sum of a metric over its labels, or one series (`name{label="value"}`); `nil`: there is none yet.
    /// - Parameter port: the process's own, of its HTTP API.
    static func metric(_ name: String, port: Int) async throws -> Double? {
        let answer = try await HTTPClient.request("GET", port: port, path: "/metrics")
        let own = String(decoding: answer.body, as: UTF8.self).split(separator: "\n")
            .filter { $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name){") }
        guard !own.isEmpty else { return nil }
        return own.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }
}
