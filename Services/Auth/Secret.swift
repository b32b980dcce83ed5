import Crypto

/// A random secret that is shown once: 256 bits behind a prefix that says what it is. Only its hash is stored.
struct Secret {
    enum Prefix: String {
        case apiKey = "xp_"
        case waveKey = "wave_live_"
        case accessToken = "xpat_"
        case clientSecret = "xpcs_"
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
