internal import Foundation
public import NIOSSL

/// A certificate authority of a test's own, made with `openssl`, and a server's certificate and key by it in two files, which a test
/// replaces and spoils as it likes.
public final class TestAuthority: Sendable {
    public struct Failure: Error { public let command: String }

    private let folder: URL

    /// Runs `body` with a new authority that has issued a certificate for `localhost` and 127.0.0.1.
    public static func with<R>(_ body: (TestAuthority) async throws -> R) async throws -> R {
        let authority = try TestAuthority()
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: authority.folder) }
        try await authority.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-days", "2", "-subj", "/CN=An authority of tests")
        try await authority.issue()
        return try await body(authority)
    }

    private init() throws {
        self.folder = FileManager.default.temporaryDirectory.appending(path: "authority-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        try "subjectAltName=DNS:localhost,IP:127.0.0.1".write(
            to: self.folder.appending(path: "names"), atomically: true, encoding: .utf8)
    }

    public var certificate: String { self.folder.appending(path: "server.pem").path }
    public var key: String { self.folder.appending(path: "server.key").path }

    /// The files as a gateway's environment names them.
    public var environment: [String: String] {
        ["GATEWAY_TLS_CERTIFICATE": self.certificate, "GATEWAY_TLS_KEY": self.key]
    }

    /// The authority's own certificate, which clients trust.
    public var root: String { self.folder.appending(path: "ca.pem").path }

    /// Puts a new certificate with a new key into the files, one after the other.
    public func issue() async throws {
        try await self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "new.key", "-out",
            "new.request", "-subj", "/CN=localhost")
        try await self.openssl(
            "x509", "-req", "-in", "new.request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
            "-extfile", "names", "-out", "new.pem")
        for kind in ["pem", "key"] {
            let new = self.folder.appending(path: "new.\(kind)").path
            guard rename(new, self.folder.appending(path: "server.\(kind)").path) == 0 else {
                throw Failure(command: "rename \(new)")
            }
        }
    }

    /// Replaces the key by the same one with a passphrase.
    public func lockKey() async throws {
        try await self.openssl("ec", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
        guard rename(self.folder.appending(path: "locked.key").path, self.key) == 0 else {
            throw Failure(command: "rename")
        }
    }

    public func spoilCertificate() throws {
        try "no certificate".write(toFile: self.certificate, atomically: true, encoding: .utf8)
    }

    /// Of a client that trusts this authority and nobody else.
    public func clientSettings() throws -> TLSConfiguration {
        var settings = TLSConfiguration.makeClientConfiguration()
        settings.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(self.root))
        return settings
    }

    /// What the certificate in the file is known by.
    public func serialNumber() throws -> [UInt8] {
        try NIOSSLCertificate.fromPEMFile(self.certificate).first?.serialNumber ?? []
    }

    private func openssl(_ arguments: String...) async throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.currentDirectoryURL = self.folder
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        guard status == 0 else { throw Failure(command: "openssl \(arguments.joined(separator: " "))") }
    }
}
