import Foundation

/// What somebody watches with.
enum Device: String, Sendable, CaseIterable {
    case desktop, mobile, tablet, tv, other

    /// As far as a player's user agent, or what a Flash player calls its version, gives it away.
    init(agent: String) {
        func names(_ words: String...) -> Bool {
            words.contains { agent.range(of: $0, options: .caseInsensitive) != nil }
        }
        // The order matters: a television's and a tablet's agent name a telephone's system too.
        self =
            if names(
                "smart-tv", "smarttv", "appletv", "apple tv", "googletv", "android tv", "roku", "web0s", "tizen",
                "bravia", "aftt")
            {
                .tv
            } else if names("ipad", "tablet") || names("android") && !names("mobile") {
                .tablet
            } else if names("iphone", "ipod", "mobile", "android") {
                .mobile
            } else if names("windows", "macintosh", "x11", "linux", "cros")
                || ["WIN ", "MAC ", "LNX "].contains(where: agent.hasPrefix)
            {
                .desktop
            } else {
                .other
            }
    }
}
