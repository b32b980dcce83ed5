import Testing

@testable import PerformanceMonitor

@Suite struct MachineTests {
    @Test func `processor usage is the busy share of the ticks between two readings`() throws {
        let before = try #require(
            ProcessorTimes(stat: "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1 1\ncpu1 1 1 1 1 1\n"))
        let after = try #require(
            ProcessorTimes(stat: "cpu  150 0 75 850 75 0 0 0 999 999\ncpu0 1 1 1 1 1\ncpu1 1 1 1 1 1\n"))
        #expect(before.cores == 2)
        #expect(after.usage(since: before) == 50)
        #expect(before.usage(since: after) == 0)
        #expect(after.usage(since: after) == 0)
    }

    @Test(arguments: ["", "cpu", "cpu  1 2 3", "intr 1 2 3"])
    func `something else than a stat file is no reading`(text: String) {
        #expect(ProcessorTimes(stat: text) == nil)
    }

    @Test func `memory in use is what is not available, in megabytes`() throws {
        let memory = try #require(Memory(meminfo: "MemTotal: 2048000 kB\nMemFree: 1 kB\nMemAvailable: 512000 kB\n"))
        #expect(memory.total == 2000)
        #expect(memory.used == 1500)
        #expect(memory.usage == 75)
    }

    @Test(arguments: ["", "MemTotal: 0 kB\nMemAvailable: 0 kB", "MemTotal: 1000 kB"])
    func `something else than a meminfo file is no reading`(text: String) {
        #expect(Memory(meminfo: text) == nil)
    }

    @Test func `this machine can be read`() throws {
        let reading = try #require(Machine.read())
        #expect(reading.uptime > 0)
        #expect(reading.memory.used > 0)
        #expect(reading.processor.cores > 0)
    }
}
