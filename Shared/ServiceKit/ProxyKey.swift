import Configuration
import FoundationEssentials

/// The key by which our own HAProxy is known. It sends it with each connection that it carries.
public struct ProxyKey: Sendable {
    private let bytes: [UInt8]

    private static let setting = "http.proxy.key.file"

    /// Reads the file that `http.proxy.key.file` names. `nil`: none is named.
    init?(_ config: ConfigReader) throws {
        guard let path = config.string(forKey: "http.proxy.key.file"), !path.isEmpty else { return nil }
        // `try?`: whatever the reason, the operator needs the key and the path.
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationError(key: Self.setting, problem: "names a file that cannot be read: \(path)")
        }
        let bytes = Array(text.filter { !$0.isWhitespace }.utf8)
        // More would not fit into the header.
        guard (32...256).contains(bytes.count) else {
            throw ConfigurationError(key: Self.setting, problem: "must hold 32 to 256 characters")
        }
        self.bytes = bytes
    }

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Returns whether these are the key's bytes. How long that takes tells nothing of them.
    public func matches(_ other: [UInt8]) -> Bool {
        guard other.count == self.bytes.count else { return false }
        return zip(self.bytes, other).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
