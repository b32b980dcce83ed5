import Glibc
import Testing

@testable import ServiceKit

@Suite(.timeLimit(.minutes(1))) struct LogWriterTests {
    /// A pipe of the system's usual 64 KiB, and a writer into it.
    private struct Pipe: ~Copyable {
        let reader: Int32
        let descriptor: Int32
        let writer: LogWriter

        init(bytesMax: Int = 1 << 20) throws {
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            (self.reader, self.descriptor) = (ends[0], ends[1])
            self.writer = LogWriter(descriptor: ends[1], bytesMax: bytesMax) { Array("dropped \($0)\n".utf8) }
        }

        /// Reads so many lines.
        func lines(_ count: Int) -> [String] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while bytes.count(where: { $0 == UInt8(ascii: "\n") }) < count {
                let got = read(self.reader, &buffer, buffer.count)
                guard got > 0 else { break }
                bytes += buffer[..<got]
            }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }

        deinit { close(self.reader) }
    }

    private static func line(_ text: String) -> [UInt8] { Array("\(text)\n".utf8) }

    @Test func `lines come out whole and in order, long ones too`() throws {
        let pipe = try Pipe()
        let texts = (0..<5000).map { $0 % 500 == 0 ? String(repeating: "\($0)", count: 3000) : "line \($0)" }
        for text in texts { pipe.writer.write(Self.line(text)) }
        #expect(pipe.lines(texts.count) == texts)
        #expect(pipe.writer.flush(within: .seconds(10)))
    }

    @Test func `nobody waits for a pipe that nobody reads, and what was dropped is said when somebody does`() throws {
        let pipe = try Pipe(bytesMax: 100_000)
        let text = String(repeating: "x", count: 999)
        let start = ContinuousClock.now
        // 64 of 1,000 bytes are in the pipe or on their way into it, 100 wait.
        for number in 0..<1000 { pipe.writer.write(Self.line(text), isUrgent: number % 100 == 0) }
        #expect(!pipe.writer.flush(within: .milliseconds(50)))
        #expect(ContinuousClock.now - start < .seconds(5))
        var (written, dropped) = (0, 0)
        while written + dropped < 1000 {
            for line in pipe.lines(1) {
                if let count = line.hasPrefix("dropped ") ? Int(line.dropFirst(8)) : nil {
                    dropped += count
                } else {
                    #expect(line == text)
                    written += 1
                }
            }
        }
        #expect(written + dropped == 1000)
        #expect((100..<300).contains(written))
        pipe.writer.write(Self.line("again"))
        #expect(pipe.lines(1) == ["again"])
    }

    @Test func `an urgent line is written when the call returns`() throws {
        let pipe = try Pipe()
        var reader = pollfd(fd: pipe.reader, events: Int16(POLLIN), revents: 0)
        for number in 0..<1000 {
            #expect(pipe.writer.flush(within: .seconds(10)))
            pipe.writer.write(Self.line("urgent \(number)"), isUrgent: true)
            #expect(poll(&reader, 1, 0) == 1)
            #expect(pipe.lines(1) == ["urgent \(number)"])
        }
    }

    @Test func `where nobody reads any longer, lines are dropped and nobody waits`() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        let writer = LogWriter(descriptor: ends[1]) { _ in [] }
        for number in 0..<1000 { writer.write(Self.line("lost"), isUrgent: number % 10 == 0) }
        #expect(writer.flush(within: .seconds(10)))
    }
}
