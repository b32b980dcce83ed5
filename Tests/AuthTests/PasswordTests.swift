import ServiceKit
import Testing

@testable import Auth

@Suite struct PasswordTests {
    private static let cheap = PasswordHash.Cost(ln: 10, r: 8, p: 1)

    @Test func `a hash is its password's and no other's, and its text is read again`() throws {
        let hash = try PasswordHash(of: "correct horse", cost: Self.cheap)
        let read = try #require(PasswordHash(text: hash.text))
        #expect(read == hash)
        #expect(hash.text.hasPrefix("$scrypt$ln=10,r=8,p=1$") && !hash.text.hasSuffix("="))
        #expect(try read.matches("correct horse"))
        for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
            #expect(try !read.matches(wrong), "\(wrong)")
        }
        #expect(try PasswordHash(of: "correct horse", cost: Self.cheap).text != hash.text)
    }

    /// RFC 7914 §12, the third vector: PBKDF2 gives its first 32 bytes whether 64 are asked for or not.
    @Test func `it is the scrypt that others have`() throws {
        let text = "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI"
        let hash = try #require(PasswordHash(text: text))
        #expect(hash.salt == Array("SodiumChloride".utf8))
        #expect(try hash.matches("pleaseletmein"))
        #expect(try !hash.matches("pleaseletmeinx"))
    }

    @Test(
        arguments: [
            "", "$scrypt$ln=15,r=8,p=3$", "$scrypt$ln=15,r=8,p=3$c2FsdA$aGFzaA",
            "$scrypt$ln=40,r=8,p=1$c2FsdA$" + hashText,
            "$scrypt$ln=15,r=8$c2FsdA$" + hashText, "$argon2id$ln=15,r=8,p=3$c2FsdA$" + hashText,
            "$scrypt$ln=15,r=8,p=-1$c2FsdA$" + hashText, "$scrypt$r=8,ln=15,p=1$c2FsdA$" + hashText,
            "$scrypt$ln=15,r=8,p=3$$" + hashText, "x$scrypt$ln=15,r=8,p=3$c2FsdA$" + hashText,
        ])
    func `what is no such text is no hash`(text: String) { #expect(PasswordHash(text: text) == nil) }

    private static let hashText = String(repeating: "A", count: 43)

    @Test func `a cost is below another when it is cheaper to guess`() {
        let standard = PasswordHash.Cost.standard
        #expect(!standard.isBelow(standard))
        #expect(PasswordHash.Cost(ln: 14, r: 8, p: 3).isBelow(standard))
        #expect(PasswordHash.Cost(ln: 15, r: 8, p: 1).isBelow(standard))
        #expect(!PasswordHash.Cost(ln: 17, r: 8, p: 1).isBelow(standard))
    }

    @Test(
        arguments: [
            ("twelve bytes", true), ("eleven byte", false), (String(repeating: "ab1!", count: 256), true),
            (String(repeating: "ab1!", count: 256) + "x", false), ("with a NUL\u{0}in it", false),
            ("Somebody@Example.org", false), ("PasswordPassword", false), ("aaaaaaaaaaaaaaaa", false),
            ("ababababababab", false), ("пароль длинный", true), ("🎙️🎙️🎙️ on the air", true),
        ])
    func `a password is long, and nobody's first guess`(password: String, isTaken: Bool) {
        let taken = (try? Password.require(password, email: "somebody@example.org")) != nil
        #expect(taken == isTaken)
    }

    @Test(
        arguments: [
            ("a@b", true), ("Some.Body+tag@example.org", true), ("a_b%c'd@e", true), ("owner@localhost", true),
            ("", false), ("a", false), ("@b", false), ("a@", false), ("a@b@c", false), ("a b@c", false),
            ("a@b\n", false), ("a@b\u{0}", false), ("a@b\u{A0}", false), ("a@b\u{200B}", false),
            // Postgres and Swift fold these differently.
            ("\u{130}@example.org", false), ("ö@example.org", false), ("a@\u{212A}", false),
            (String(repeating: "a", count: 252) + "@b", true), (String(repeating: "a", count: 253) + "@b", false),
        ])
    func `an e-mail address is modest`(text: String, isValid: Bool) {
        #expect(EmailAddress.isValid(text) == isValid)
    }
}
