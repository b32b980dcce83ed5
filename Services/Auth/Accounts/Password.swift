import HTTPTypes
import ServiceKit

/// What may be a password: long, and nobody's first guess. Nothing is asked of its characters (NIST SP 800-63B §5.1.1.2).
enum Password {
    /// Bytes of UTF-8. The upper end only bounds what is hashed.
    static let length = 12...1024

    /// Of the lists of what is tried first, those that are long enough.
    private static let common: Set<String> = [
        "password1234", "password12345", "password123456", "passwordpassword", "passw0rd1234", "p@ssw0rd1234",
        "123456789012", "1234567890123", "12345678901234", "1234567890123456", "123123123123", "123456123456",
        "987654321098", "0123456789ab", "abcdefghijkl", "abcdefghijklm", "abcdefghijklmnopqrstuvwxyz", "abcd1234abcd",
        "qwertyuiop12", "qwertyuiop123", "qwertyuiopasdf", "qwertyuiopasdfghjkl", "qwertyqwerty", "qwerty123456",
        "1q2w3e4r5t6y", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "asdfghjkl123", "zxcvbnm12345", "administrator",
        "administrator1", "admin1234567", "admin123admin", "adminadminadmin", "changemechangeme", "changeme1234",
        "letmeinletmein", "letmein12345", "welcome12345", "welcome123456", "welcometothejungle", "iloveyou1234",
        "iloveyouiloveyou", "correcthorsebatterystaple", "correct horse battery staple", "trustno1trustno1",
        "crosspoint12", "crosspoint123", "crosspointcrosspoint", "supersecret1", "supersecretpassword",
        "defaultpassword", "testtesttest", "testpassword", "temporarypassword", "onetwothreefour",
    ]

    /// Throws 400 for one that is not to be taken.
    static func require(_ password: String, email: String, field: String = "password") throws(APIFailure) {
        func refuse(_ reason: String) -> APIFailure {
            APIFailure(.badRequest, "\(field) \(reason)", details: ["field": field, "reason": reason])
        }
        let bytes = password.utf8
        guard Self.length.contains(bytes.count), !bytes.contains(0) else {
            throw refuse("must be \(Self.length.lowerBound) to \(Self.length.upperBound) bytes, none of them NUL")
        }
        let plain = password.lowercased()
        guard plain != email.lowercased() else { throw refuse("must not be the e-mail address") }
        guard !Self.common.contains(plain), Set(plain.unicodeScalars).count > 3 else {
            throw refuse("is one of those that are guessed first")
        }
    }
}
