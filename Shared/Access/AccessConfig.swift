public import Configuration
public import Logging

/// How a process judges credentials.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `auth.cache.dir` | string | none | a directory in which each process keeps auth's public keys and revocations |
public struct AccessConfig: Sendable {
    private let cacheDirectory: String?

    public init(_ config: ConfigReader) {
        self.cacheDirectory = config.string(forKey: "auth.cache.dir")
    }

    /// - Parameter process: the process's name, of replicas each its own.
    public func cache(for process: String, logger: Logger) -> AccessCache? {
        self.cacheDirectory.map { AccessCache(directory: $0, process: process, logger: logger) }
    }
}
