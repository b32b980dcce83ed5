import Crypto
import ServiceKit

/// A random secret that is shown once: 256 bits behind a prefix that says what it is. Only its hash is stored.
struct Secret: Sendable {
    enum Prefix: String, CaseIterable {
        case apiKey = "xp_"
        case waveKey = "wave_live_"
        case waveTestKey = "wave_test_"
        case grimnirKey = "gr_"
        case accessToken = "xpat_"
        case refreshToken = "xprt_"
        case authorizationCode = "xpac_"
        case ticket = "xptk_"
        case clientSecret = "xpcs_"

        /// The one that a shown prefix begins with.
        init?(of shown: String) {
            guard let prefix = Self.allCases.first(where: { shown.hasPrefix($0.rawValue) }) else { return nil }
            self = prefix
        }
    }

    let text: String
    /// Enough for people to tell their keys apart: the prefix and eight digits of 64.
    let shownPrefix: String

    init(_ prefix: Prefix) {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        self.text = prefix.rawValue + Hex.encode(bytes)
        self.shownPrefix = Self.shownPrefix(of: self.text)
    }

    /// What is stored: a random secret of 256 bits needs no salt and no slow hash.
    static func hash(_ text: String) -> String { Hex.encode(SHA256.hash(data: Array(text.utf8))) }

    var hash: String { Self.hash(self.text) }

    static func shownPrefix(of text: String) -> String { String(text.dropLast(56)) }
}
