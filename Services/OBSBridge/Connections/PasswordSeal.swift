import Crypto
import Foundation
import HTTPTypes
import ServiceKit

/// Seals the passwords of OBS connections for the database, with AES-GCM; one is opened for its own connection only.
struct PasswordSeal: Sendable {
    private let key: SymmetricKey

    init(key: SymmetricKey) { self.key = key }

    func seal(_ password: String, connection id: String) throws -> String {
        let box = try AES.GCM.seal(Data(password.utf8), using: self.key, authenticating: Data(id.utf8))
        guard let combined = box.combined else { throw APIFailure(.internalServerError, "The password was not sealed") }
        return combined.base64EncodedString()
    }

    /// `nil`: it was sealed with another key, or for another connection.
    func open(_ sealed: String, connection id: String) -> String? {
        // `try?`: there is only one thing that can be wrong with it.
        guard let data = Data(base64Encoded: sealed), let box = try? AES.GCM.SealedBox(combined: data),
            let bytes = try? AES.GCM.open(box, using: self.key, authenticating: Data(id.utf8))
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
