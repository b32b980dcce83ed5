import FoundationEssentials
import Glibc
import Metrics
import NIOConcurrencyHelpers

/// Metrics of the process itself, brought up to date when somebody reads them.
final class ProcessSample: Sendable {
    private let readiness: Readiness
    private let memory = Gauge(label: "process_resident_memory_bytes")
    private let descriptors = Gauge(label: "process_open_fds")
    private let descriptorsMax = Gauge(label: "process_max_fds")
    private let processor = FloatingPointCounter(label: "process_cpu_seconds_total")
    private let counted = NIOLockedValueBox(0.0)

    init(readiness: Readiness) { self.readiness = readiness }

    func take() {
        for (name, condition) in self.readiness.status.conditions {
            Gauge(label: "dependency_ready", dimensions: [("name", name)]).record(condition == .ready ? 1 : 0)
            Gauge(label: "dependency_degraded", dimensions: [("name", name)]).record(condition == .degraded ? 1 : 0)
        }
        if let pages = Self.residentPages() { self.memory.record(pages * sysconf(Int32(_SC_PAGESIZE))) }
        if let count = Self.openDescriptors() { self.descriptors.record(count) }
        if let count = OpenFileLimit.current { self.descriptorsMax.record(count) }
        let seconds = Self.processorSeconds()
        let more = self.counted.withLockedValue { counted in
            defer { counted = max(counted, seconds) }
            return max(0, seconds - counted)
        }
        self.processor.increment(by: more)
    }

    /// The second number of `/proc/self/statm` (proc(5)).
    private static func residentPages() -> Int? {
        // `try?`: a file that is not there is all there is to say.
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return fields.count > 1 ? Int(fields[1]) : nil
    }

    private static func openDescriptors() -> Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // `.`, `..`, and the folder's own.
        return count - 3
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}
