import Crypto
import Events
import Foundation
import ServiceKit

/// Which page shows a source. OBS has no setting for scripts, so a source with one of its own is shown through a page that the
/// bridge serves (contract obs-websocket §6); its address holds a code, since OBS has no credential to show.
struct SourcePages: Sendable {
    /// Where OBS reaches the bridge: `http://127.0.0.1:3030`.
    let publicURL: String
    private let key: SymmetricKey

    /// - Parameter secret: what the codes' key is derived from (RFC 5869).
    init(publicURL: String, secret: SymmetricKey) {
        self.publicURL = publicURL
        self.key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: secret, info: Data("source-pages".utf8), outputByteCount: 32)
    }

    func address(of source: Source) -> String {
        source.jsCustom.isEmpty
            ? source.url : "\(self.publicURL)/source-pages/\(source.id)/\(self.code(for: source.id))"
    }

    /// 32 hexadecimal digits that only the holder of the key can make.
    func code(for id: String) -> String {
        Hex.encode(HMAC<SHA256>.authenticationCode(for: Data(id.utf8), using: self.key).prefix(16))
    }

    func isCode(_ code: String, of id: String) -> Bool {
        // Without a comparison that takes as long as the right one is long.
        code.utf8.count == 32 && zip(code.utf8, self.code(for: id).utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
