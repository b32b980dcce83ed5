/// The addresses and names that lead to one's own machine.
public enum Loopback {
    /// Returns whether an address is a loopback address: one below 127.0.0.0/8, as IPv6 too, or `::1`.
    public static func contains(address: some StringProtocol) -> Bool {
        if address == "::1" { return true }
        let mapped = "::ffff:"
        let version4 = address.lowercased().hasPrefix(mapped) ? address.dropFirst(mapped.count) : address[...]
        let parts = version4.split(separator: ".", omittingEmptySubsequences: false)
        // A name such as 127.0.0.1.example.com begins like an address.
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { Self.isByte($0) }
    }

    /// Returns whether the host of a URL or of a `Host` field is `localhost` or a loopback address, with a port or without.
    /// `*.localhost` and `localhost.` are not: no client needs them, and resolvers differ.
    public static func contains(authority: some StringProtocol) -> Bool {
        let host: String
        let port: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return false }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            port = Substring(authority[authority.index(after: end)...])
            guard host.utf8.contains(UInt8(ascii: ":")) else { return false }
        } else {
            host = String(authority.prefix { $0 != ":" })
            port = Substring(authority.dropFirst(host.count))
        }
        return Self.isPort(port) && (host.lowercased() == "localhost" || Self.contains(address: host))
    }

    private static func isByte(_ text: some StringProtocol) -> Bool {
        (1...3).contains(text.utf8.count) && Self.isDigits(text) && Int(text).map { $0 <= 255 } == true
    }

    /// Returns whether the text is empty, or a colon and a port.
    private static func isPort(_ text: Substring) -> Bool {
        guard !text.isEmpty else { return true }
        let digits = text.dropFirst()
        return text.first == ":" && (1...5).contains(digits.utf8.count) && Self.isDigits(digits)
            && Int(digits).map { $0 <= 65_535 } == true
    }

    private static func isDigits(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
