import Crypto
import Foundation
import Testing

@testable import OBSBridge

@Suite struct PasswordSealTests {
    private static let key = SymmetricKey(data: Array(repeating: 1, count: 32))
    private static let seal = PasswordSeal(key: Self.key)
    private static let other = PasswordSeal(key: SymmetricKey(data: Array(repeating: 2, count: 32)))

    private static func connection(_ password: String?) -> OBSConnection {
        var connection = OBSConnection(name: "studio", tenant: "default", host: "obs.example", port: 4455, at: now)
        connection.id = "obs-1"
        connection.password = password
        return connection
    }

    private static func sealed(_ password: String) throws -> OBSConnection {
        Self.connection(try Self.seal.seal(password, for: Self.connection(nil)))
    }

    @Test(arguments: ["", "secret", "pässwörd \u{1F600}", String(repeating: "x", count: 5000)])
    func `a password is opened for its own connection`(password: String) throws {
        let connection = try Self.sealed(password)
        #expect(Self.seal.open(connection) == password)
        let sealed = try #require(connection.password)
        #expect(password.isEmpty || !sealed.contains(password))
    }

    @Test(
        arguments: [
            { $0.id = "obs-2" }, { $0.id = "" }, { $0.host = "evil.example" }, { $0.port = 4456 }, { $0.tls = true },
            { $0.path = "/other" }, { ($0.id, $0.host) = ("obs-1\nws", "x") }, { $0.password = nil },
        ] as [@Sendable (inout OBSConnection) -> Void])
    func `another connection or another address opens nothing`(change: @Sendable (inout OBSConnection) -> Void) throws {
        var connection = try Self.sealed("secret")
        change(&connection)
        #expect(Self.seal.open(connection) == nil)
    }

    @Test func `another key opens nothing`() throws {
        #expect(Self.other.open(try Self.sealed("secret")) == nil)
    }

    @Test func `the same password is sealed differently each time`() throws {
        #expect(try Self.sealed("secret").password != Self.sealed("secret").password)
    }

    @Test(arguments: ["", "secret", "AAAA", "****", "\u{0}", "v2.", "v2.AAAA", "v3.AAAA"])
    func `what was never sealed is not opened`(text: String) throws {
        #expect(Self.seal.open(Self.connection(text)) == nil)
        #expect(try Self.seal.resealed(Self.connection(text)) == nil)
    }

    @Test func `a changed seal is not opened`() throws {
        let sealed = try #require(try Self.sealed("secret").password)
        for index in [0, 3, sealed.count / 2] {
            var text = Array(sealed)
            text[index] = text[index] == "A" ? "B" : "A"
            #expect(Self.seal.open(Self.connection(String(text))) == nil)
        }
    }

    @Test func `a seal of the connection's id alone is replaced, and opens nothing`() throws {
        let box = try AES.GCM.seal(Data("secret".utf8), using: Self.key, authenticating: Data("obs-1".utf8))
        var connection = Self.connection(try #require(box.combined).base64EncodedString())
        #expect(Self.seal.open(connection) == nil)
        #expect(try Self.other.resealed(connection) == nil)
        connection.password = try Self.seal.resealed(connection)
        #expect(Self.seal.open(connection) == "secret")
        #expect(try Self.seal.resealed(connection) == nil)
    }
}
