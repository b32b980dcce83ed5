import Crypto
import FoundationEssentials

/// Proof that whoever exchanges a code is who asked for it (RFC 7636): S256 only.
enum PKCE {
    /// The SHA-256 of a verifier, in base 64 for URLs.
    static func isChallenge(_ text: String) -> Bool {
        text.utf8.count == 43 && text.utf8.allSatisfy { Self.isWord($0) || $0 == UInt8(ascii: "-") }
    }

    static func isVerifier(_ text: String) -> Bool {
        (43...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { Self.isWord($0) || [45, 46, 126].contains($0) }
    }

    static func challenge(of verifier: String) -> String {
        Data(SHA256.hash(data: Array(verifier.utf8))).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 95: true
        default: false
        }
    }
}

extension String {
    /// Whether both are the same, in a time that does not tell where they differ.
    func isSame(inConstantTimeAs other: String) -> Bool {
        let (left, right) = (Array(self.utf8), Array(other.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
