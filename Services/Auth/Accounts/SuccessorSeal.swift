import Crypto
import Events
import FoundationEssentials

/// Seals the answer to a refresh while a retry may get it again, so that the database never has a token in clear.
struct SuccessorSeal: Sendable {
    private let key: SymmetricKey

    /// - Parameter secrets: the key of `auth.secrets.key.file`; this uses one that is derived from it.
    init(secrets: SymmetricKey) {
        self.key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: secrets, info: Data("crosspoint auth: successor of a refreshed token".utf8),
            outputByteCount: 32)
    }

    /// - Parameter session: the id of the only session that the answer can be opened for.
    func seal(_ issued: Sessions.Issued, session: String) throws -> String {
        let box = try AES.GCM.seal(JSON.encode(issued), using: self.key, authenticating: Array(session.utf8))
        guard let combined = box.combined else { preconditionFailure("a standard nonce always combines") }
        return combined.base64EncodedString()
    }

    /// Returns `nil` for what was sealed with another key or for another session.
    func open(_ sealed: String, session: String) -> Sessions.Issued? {
        // `try?`: whatever the reason, there is nothing to answer with, and the refresh is refused.
        guard let data = Data(base64Encoded: sealed), let box = try? AES.GCM.SealedBox(combined: data),
            let plain = try? AES.GCM.open(box, using: self.key, authenticating: Array(session.utf8))
        else { return nil }
        return try? JSON.decode(Sessions.Issued.self, from: Array(plain))
    }
}
