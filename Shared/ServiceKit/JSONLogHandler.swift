import FoundationEssentials
import Logging

/// Writes one JSON object a line: `time, level, service, message`, then the metadata's keys.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info
    private static let ownNames: Set = ["time", "level", "service", "logger", "message"]

    private let label: String
    private let service: String
    private let writer: LogWriter

    init(label: String, service: String, writer: LogWriter) {
        self.label = label
        self.service = service
        self.writer = writer
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.writer.write(Array(self.line(for: event).utf8), isUrgent: event.level >= .error)
    }

    /// Returns the record, a line feed behind it.
    func line(for event: LogEvent) -> String {
        var fields = self.metadata.merging(self.metadataProvider?.get() ?? [:]) { $1 }
        fields.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error { fields["error"] = "\(error)" }
        return Self.line(
            event.level, service: self.service, logger: self.label == self.service ? nil : self.label,
            message: event.message.description, fields)
    }

    /// Returns the line in which a process says that lines are missing before it.
    static func notice(of dropped: Int, service: String) -> [UInt8] {
        let line = Self.line(
            .warning, service: service, logger: nil,
            message: "Log lines were dropped: the log was not read fast enough",
            ["dropped": "\(dropped)"])
        return Array(line.utf8)
    }

    private static func line(
        _ level: Logger.Level, service: String, logger: String?, message: String, _ fields: Logger.Metadata
    ) -> String {
        var line = "{"
        line += "\"time\":\(Self.quote(Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))))"
        line += ",\"level\":\"\(level)\",\"service\":\(Self.quote(service))"
        if let logger { line += ",\"logger\":\(Self.quote(logger))" }
        line += ",\"message\":\(Self.quote(message))"
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            // A name that the record has already would make it ambiguous.
            let name = Self.ownNames.contains(key) ? "metadata.\(key)" : key
            line += ",\(Self.quote(name)):\(Self.quote(value.description))"
        }
        return line + "}\n"
    }

    /// A JSON string (RFC 8259 §7).
    private static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\r": quoted += "\\r"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
