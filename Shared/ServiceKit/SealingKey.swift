public import Configuration
import FoundationEssentials

extension ConfigReader {
    /// The key of 256 bits that secrets are sealed with before they are stored. Required, see `secretKey`.
    public func sealingKey(forKey key: ConfigKey) throws -> [UInt8] {
        guard let bytes = try self.secretKey(forKey: key) else {
            throw ConfigurationError(key: "\(key)", problem: "must name a file with 64 hexadecimal digits")
        }
        return bytes
    }

    /// A key of 256 bits: what the file holds that `key` names, 64 hexadecimal digits. `nil`: none is named.
    public func secretKey(forKey key: ConfigKey) throws -> [UInt8]? {
        guard let path = self.string(forKey: key) else { return nil }
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            // `try?`: whatever the reason, the operator needs the key and the path.
            throw ConfigurationError(key: "\(key)", problem: "names a file that cannot be read: \(path)")
        }
        let digits = String(decoding: data, as: UTF8.self).filter { !$0.isWhitespace }
        guard let bytes = Hex.decode(digits), bytes.count == 32 else {
            throw ConfigurationError(key: "\(key)", problem: "must hold 64 hexadecimal digits")
        }
        return bytes
    }
    /// The text of the file that `key` names. `nil`: none is named.
    public func textFile(forKey key: ConfigKey) throws -> String? {
        guard let path = self.string(forKey: key) else { return nil }
        guard let text = try? String(contentsOf: URL(filePath: path), encoding: .utf8) else {
            // `try?`: as above.
            throw ConfigurationError(key: "\(key)", problem: "names a file that cannot be read: \(path)")
        }
        return text
    }
}
