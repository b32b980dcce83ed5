import Crypto
import Testing

@testable import OBSBridge

@Suite struct PasswordSealTests {
    private static let seal = PasswordSeal(key: SymmetricKey(data: Array(repeating: 1, count: 32)))
    private static let other = PasswordSeal(key: SymmetricKey(data: Array(repeating: 2, count: 32)))

    @Test(arguments: ["", "secret", "pässwörd \u{1F600}", String(repeating: "x", count: 5000)])
    func `a password is opened for its own connection`(password: String) throws {
        let sealed = try Self.seal.seal(password, connection: "obs-1")
        #expect(Self.seal.open(sealed, connection: "obs-1") == password)
        #expect(password.isEmpty || !sealed.contains(password))
    }

    @Test func `another connection or another key opens nothing`() throws {
        let sealed = try Self.seal.seal("secret", connection: "obs-1")
        #expect(Self.seal.open(sealed, connection: "obs-2") == nil)
        #expect(Self.seal.open(sealed, connection: "") == nil)
        #expect(Self.other.open(sealed, connection: "obs-1") == nil)
    }

    @Test func `the same password is sealed differently each time`() throws {
        #expect(
            try Self.seal.seal("secret", connection: "obs-1") != Self.seal.seal("secret", connection: "obs-1"))
    }

    @Test(arguments: ["", "secret", "AAAA", "****", "\u{0}"])
    func `what was never sealed is not opened`(text: String) {
        #expect(Self.seal.open(text, connection: "obs-1") == nil)
    }

    @Test func `a changed seal is not opened`() throws {
        let sealed = try Self.seal.seal("secret", connection: "obs-1")
        for index in [0, sealed.count / 2] {
            var text = Array(sealed)
            text[index] = text[index] == "A" ? "B" : "A"
            #expect(Self.seal.open(String(text), connection: "obs-1") == nil)
        }
    }
}
