import Events
import FoundationEssentials
import Glibc
public import Logging

/// What is needed to judge access tokens, in a file: for a process that is started while auth is away. Public keys and ids, no secret.
public struct AccessCache: Sendable {
    struct Content: Codable, Equatable {
        var format = Self.ownFormat
        var keys: FetchKeys.Answer?
        var revocations: [CredentialRevoked]
        /// The number of the last revocation that auth gave when asked.
        var last: Int64
        /// The term of auth's writer in which the number was given.
        var term: UInt64?

        static let ownFormat = "crosspoint access 1"
    }

    let path: String
    private let logger: Logger

    private static let bytesMax = 64 << 20

    /// - Parameters:
    ///   - directory: is made if its parent exists.
    ///   - process: tells the processes apart that share the directory.
    public init(directory: String, process: String, logger: Logger) {
        let name = process.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "_" }
        self.path = "\(directory)/\(String(name)).json"
        self.logger = logger
        mkdir(directory, 0o700)
    }

    /// `nil`: there is none that can be used. Blocks; for a process's start.
    func load() -> Content? {
        let descriptor = open(self.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno != ENOENT { self.warn("cannot be opened") }
            return nil
        }
        defer { close(descriptor) }
        var status = stat()
        // Whoever could write it could make keys of their own good.
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
            status.st_mode & 0o022 == 0
        else {
            self.warn("is not a file that only this user may write")
            return nil
        }
        guard let bytes = Self.read(descriptor), let content = try? JSON.decode(Content.self, from: bytes),
            content.format == Content.ownFormat
        else {
            // `try?`: whatever is wrong with it, it is of no use.
            self.warn("cannot be read")
            return nil
        }
        return content
    }

    /// Replaces the file, whole or not at all. Blocks.
    func save(_ content: Content) {
        let temporary = "\(self.path).\(getpid())"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return self.warn("cannot be written") }
        let isWritten = Self.write(JSON.encode(content), to: descriptor) && fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, rename(temporary, self.path) == 0 else {
            unlink(temporary)
            return self.warn("cannot be written")
        }
    }

    private func warn(_ problem: String) {
        self.logger.warning("The cache of keys and revocations \(problem)", metadata: ["path": "\(self.path)"])
    }

    private static func read(_ descriptor: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= Self.bytesMax {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return bytes }
            guard count > 0 || errno == EINTR else { return nil }
            bytes += buffer[..<max(0, count)]
        }
        return nil
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { return false }
            rest = rest.dropFirst(max(0, count))
        }
        return true
    }
}
