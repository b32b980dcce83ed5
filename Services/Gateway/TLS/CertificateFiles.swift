import Configuration
import Glibc
import NIOCore
import NIOSSL
import ServiceKit

/// Where the certificate that clients are shown is, and the key that belongs to it: two files in PEM form.
struct CertificateFiles: Sendable, Equatable {
    /// The certificate, then those that lead from it to the authority.
    let certificate: String
    let key: String

    private static let certificateSetting = "gateway.tls.certificate"
    private static let keySetting = "gateway.tls.key"

    /// `nil`: neither is set.
    init?(_ config: ConfigReader) throws(ConfigurationError) {
        let certificate = config.string(forKey: "gateway.tls.certificate")
        let key = config.string(forKey: "gateway.tls.key")
        guard certificate != nil || key != nil else { return nil }
        guard let certificate else {
            throw ConfigurationError(key: Self.certificateSetting, problem: "is needed with \(Self.keySetting)")
        }
        guard let key else {
            throw ConfigurationError(key: Self.keySetting, problem: "is needed with \(Self.certificateSetting)")
        }
        self.init(certificate: certificate, key: key)
    }

    init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }

    /// What tells that files were replaced, without reading them.
    struct Stamp: Equatable, Sendable {
        private struct File: Equatable {
            let inode: UInt64
            let size: Int64
            let seconds: Int
            let nanoseconds: Int
        }

        private let certificate: File
        private let key: File

        fileprivate init?(_ files: CertificateFiles) {
            guard let certificate = Self.file(files.certificate), let key = Self.file(files.key) else { return nil }
            self.certificate = certificate
            self.key = key
        }

        private static func file(_ path: String) -> File? {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            return File(
                inode: UInt64(status.st_ino), size: Int64(status.st_size), seconds: status.st_mtim.tv_sec,
                nanoseconds: status.st_mtim.tv_nsec)
        }
    }

    /// `nil`: one of them is not there. Blocks.
    var stamp: Stamp? { Stamp(self) }

    /// Reads both. Blocks. Throws a `ConfigurationError` that names the setting whose file cannot be used.
    func load() throws(ConfigurationError) -> ServerCertificate {
        let chain = try Self.use(Self.certificateSetting, self.certificate, "is not a certificate in PEM form") {
            try NIOSSLCertificate.fromPEMFile(self.certificate)
        }
        let key = try Self.use(Self.keySetting, self.key, "is not a key in PEM form, without a passphrase") {
            try NIOSSLPrivateKey(file: self.key, format: .pem)
        }
        var settings = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        settings.minimumTLSVersion = .tlsv12
        settings.applicationProtocols = ["http/1.1"]
        // How long a client that was told of the end may take to say the same, when it has to be quick.
        settings.shutdownTimeout = .milliseconds(500)
        let context = try Self.use(Self.keySetting, self.key, "is not the key of \(Self.certificateSetting)") {
            try NIOSSLContext(configuration: settings)
        }
        // One that has expired anywhere in the chain ends the others' use.
        return ServerCertificate(context: context, expires: chain.map { Int64($0.notValidAfter) }.min() ?? 0)
    }

    private static func use<Value>(
        _ setting: String, _ path: String, _ problem: String, _ body: () throws -> Value
    ) throws(ConfigurationError) -> Value {
        guard access(path, R_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            throw ConfigurationError(key: setting, problem: "names \(path), which cannot be read: \(reason)")
        }
        do {
            return try body()
        } catch {
            throw ConfigurationError(key: setting, problem: "names \(path), which \(problem)")
        }
    }
}

/// A certificate that can be shown to clients.
struct ServerCertificate: Sendable {
    let context: NIOSSLContext
    /// In seconds since 1970.
    let expires: Int64
}
