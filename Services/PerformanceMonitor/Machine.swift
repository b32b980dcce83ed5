import FoundationEssentials

/// This machine, as `/proc` shows it.
enum Machine {
    struct Reading: Sendable {
        var processor: ProcessorTimes
        var memory: Memory
        /// Seconds since it was started.
        var uptime: Double
    }

    /// `nil` where there is no `/proc` of Linux.
    static func read() -> Reading? {
        guard let processor = Self.file("stat").flatMap({ ProcessorTimes(stat: $0) }),
            let memory = Self.file("meminfo").flatMap({ Memory(meminfo: $0) }),
            let uptime = Self.file("uptime")?.split(separator: " ").first.flatMap({ Double($0) })
        else { return nil }
        return Reading(processor: processor, memory: memory, uptime: uptime)
    }

    /// What the maker calls the processor.
    static func processorModel() -> String? {
        let line = Self.file("cpuinfo")?.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line?.split(separator: ":").last.map { $0.trimmingPrefix(while: \.isWhitespace) }.map(String.init)
    }

    private static func file(_ name: String) -> String? {
        // `try?`: a file that is not there is all there is to say.
        try? String(contentsOfFile: "/proc/\(name)", encoding: .utf8)
    }
}

/// How long the processors worked and idled since the machine was started, in ticks.
struct ProcessorTimes: Sendable, Equatable {
    var busy: UInt64
    var total: UInt64
    var cores: Int

    /// Reads `/proc/stat`. Waiting for a disk counts as idle.
    init?(stat: String) {
        let lines = stat.split(separator: "\n").filter { $0.hasPrefix("cpu") }
        guard let all = lines.first(where: { $0.hasPrefix("cpu ") }) else { return nil }
        // user nice system idle iowait irq softirq steal; guest times are part of user and nice.
        let ticks = all.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) ?? 0 }
        guard ticks.count >= 5 else { return nil }
        self.total = ticks.reduce(0, +)
        self.busy = self.total - ticks[3] - ticks[4]
        self.cores = lines.count - 1
    }

    /// Per cent of all cores since an earlier reading.
    func usage(since earlier: ProcessorTimes) -> Double {
        // The kernel lets single counters go back a little.
        guard self.total > earlier.total, self.busy >= earlier.busy else { return 0 }
        return min(100, 100 * Double(self.busy - earlier.busy) / Double(self.total - earlier.total))
    }
}

/// In megabytes (2^20 bytes).
struct Memory: Sendable, Equatable {
    var total: Double
    var used: Double

    /// Per cent.
    var usage: Double { 100 * self.used / self.total }

    /// Reads `/proc/meminfo`. What the kernel would give back to programs counts as free.
    init?(meminfo: String) {
        func kilobytes(_ name: String) -> Double? {
            let line = meminfo.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            return line?.split(separator: " ").dropFirst().first.flatMap { Double($0) }
        }
        guard let total = kilobytes("MemTotal"), total > 0, let available = kilobytes("MemAvailable") else {
            return nil
        }
        self.total = total / 1024
        self.used = max(0, total - available) / 1024
    }
}
