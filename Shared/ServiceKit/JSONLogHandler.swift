import FoundationEssentials
import Glibc
import Logging

/// Writes one JSON object a line to standard output: `time, level, service, message`, then the metadata's keys.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info
    private static let ownNames: Set = ["time", "level", "service", "logger", "message"]

    private let label: String
    private let service: String

    init(label: String, service: String) {
        self.label = label
        self.service = service
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        // One write, so that lines of several threads do not mix.
        let bytes = Array(self.line(for: event).utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }

    /// The record, a line feed behind it.
    func line(for event: LogEvent) -> String {
        var fields = self.metadata.merging(self.metadataProvider?.get() ?? [:]) { $1 }
        fields.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error { fields["error"] = "\(error)" }
        var line = "{"
        line += "\"time\":\(Self.quote(Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))))"
        line += ",\"level\":\"\(event.level)\",\"service\":\(Self.quote(self.service))"
        if self.label != self.service { line += ",\"logger\":\(Self.quote(self.label))" }
        line += ",\"message\":\(Self.quote(event.message.description))"
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
