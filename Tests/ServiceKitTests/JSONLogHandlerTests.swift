import FoundationEssentials
import Logging
import Testing

@testable import ServiceKit

@Suite struct JSONLogHandlerTests {
    private func record(_ message: Logger.Message, metadata: Logger.Metadata?) throws -> [String: String] {
        let writer = LogWriter(descriptor: -1) { _ in [] }
        var handler = JSONLogHandler(label: "test", service: "gateway", writer: writer)
        handler[metadataKey: "own"] = "1"
        let event = LogEvent(
            level: .warning, message: message, metadata: metadata, source: "", file: "", function: "", line: 1)
        let line = handler.line(for: event)
        #expect(line.utf8.last == UInt8(ascii: "\n"))
        #expect(line.utf8.count { $0 == UInt8(ascii: "\n") } == 1)
        return try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
    }

    @Test func `a record is one line of JSON, whatever is in it`() throws {
        let odd = "quote \" backslash \\ \n\r\n\t \u{0} \u{1B}[31m \u{7F} é 👩‍🚀 \u{2028}"
        let record = try self.record(
            "\(odd)", metadata: ["client.id": "\(odd)", "\(odd)": "x", "list": ["a", "\"b\""]])
        #expect(record["message"] == odd)
        #expect(record["client.id"] == odd)
        #expect(record[odd] == "x")
        #expect(record["level"] == "warning")
        #expect(record["service"] == "gateway")
        #expect(record["own"] == "1")
        #expect(record["time"]?.hasSuffix("Z") == true)
    }

    @Test func `metadata does not take the place of what every record has`() throws {
        let record = try self.record("true", metadata: ["message": "false", "level": "debug"])
        #expect(record["message"] == "true")
        #expect(record["level"] == "warning")
        #expect(record["metadata.message"] == "false")
    }
}
