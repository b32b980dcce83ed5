package import Events

/// What `GetStats` measures (contract obs-websocket §6).
package struct OBSStats: Sendable {
    package var payload: OBSStatsUpdate.Stats
    package var measuredAt: Timestamp

    /// `nil`: OBS did not say.
    package init?(_ data: JSON) {
        guard let cpu = data["cpuUsage"]?.double, let memory = data["memoryUsage"]?.double,
            let fps = data["activeFps"]?.double, let renderTime = data["averageFrameRenderTime"]?.double
        else { return nil }
        self.payload = OBSStatsUpdate.Stats(
            cpuUsage: cpu.hundredths, memoryUsage: memory.hundredths, fps: fps.hundredths,
            renderTime: renderTime.hundredths, outputSkippedFrames: Int(data["outputSkippedFrames"]?.integer ?? 0),
            outputTotalFrames: Int(data["outputTotalFrames"]?.integer ?? 0))
        self.measuredAt = .now
    }
}

extension Double {
    fileprivate var hundredths: Double { (self * 100).rounded() / 100 }
}
