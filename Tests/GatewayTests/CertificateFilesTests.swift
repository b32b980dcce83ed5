import Configuration
import Glibc
import ServiceKit
import TestSupport
import Testing

@testable import Gateway

@Suite struct CertificateFilesTests {
    private static func files(_ settings: [String: String]) throws -> CertificateFiles? {
        try CertificateFiles(ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: settings)))
    }

    private static func problem(of files: CertificateFiles) -> ConfigurationError? {
        do {
            _ = try files.load()
            return nil
        } catch {
            return error
        }
    }

    @Test func `both files are named, or neither`() throws {
        let certificate = ["GATEWAY_TLS_CERTIFICATE": "/c"]
        let key = ["GATEWAY_TLS_KEY": "/k"]
        #expect(try Self.files([:]) == nil)
        #expect(
            try Self.files(certificate.merging(key) { $1 }) == CertificateFiles(certificate: "/c", key: "/k"))
        let noKey = #expect(throws: ConfigurationError.self) { _ = try Self.files(certificate) }
        #expect(noKey?.key == "gateway.tls.key")
        let noCertificate = #expect(throws: ConfigurationError.self) { _ = try Self.files(key) }
        #expect(noCertificate?.key == "gateway.tls.certificate")
    }

    @Test func `a certificate is loaded with the end of its validity`() async throws {
        try await TestAuthority.with { authority in
            let files = CertificateFiles(certificate: authority.certificate, key: authority.key)
            let left = try files.load().expires - Int64(time(nil))
            #expect((80_000...86_400).contains(left))
        }
    }

    @Test func `what cannot be used is told with the setting that names it`() async throws {
        try await TestAuthority.with { authority in
            let (certificate, key) = (authority.certificate, authority.key)
            let missing = Self.problem(of: CertificateFiles(certificate: "/nowhere/c.pem", key: key))
            #expect(
                missing?.description
                    == "gateway.tls.certificate names /nowhere/c.pem, which cannot be read: No such file or directory")
            let noKey = Self.problem(of: CertificateFiles(certificate: certificate, key: "/nowhere/k.pem"))
            #expect(noKey?.key == "gateway.tls.key")
            let swapped = Self.problem(of: CertificateFiles(certificate: key, key: certificate))
            #expect(
                swapped?.description == "gateway.tls.certificate names \(key), which is not a certificate in PEM form")
            let notKey = Self.problem(of: CertificateFiles(certificate: certificate, key: certificate))
            #expect(notKey?.key == "gateway.tls.key")
            try await TestAuthority.with { other in
                let wrong = Self.problem(of: CertificateFiles(certificate: certificate, key: other.key))
                #expect(
                    wrong?.description
                        == "gateway.tls.key names \(other.key), which is not the key of gateway.tls.certificate")
            }
            try await authority.lockKey()
            let locked = Self.problem(of: CertificateFiles(certificate: certificate, key: key))
            #expect(locked?.problem == "names \(key), which is not a key in PEM form, without a passphrase")
        }
    }

    @Test func `files that were replaced have another stamp`() async throws {
        try await TestAuthority.with { authority in
            let files = CertificateFiles(certificate: authority.certificate, key: authority.key)
            let first = try #require(files.stamp)
            #expect(files.stamp == first)
            try await authority.issue()
            #expect(files.stamp != first)
            #expect(CertificateFiles(certificate: files.certificate, key: "/nowhere").stamp == nil)
        }
    }
}
