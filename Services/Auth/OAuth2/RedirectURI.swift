import ServiceKit

/// Where a client wants its answer (RFC 6749 §3.1.2): a page over https, a program on the user's machine (RFC 8252 §7.3), or an app
/// with a scheme of its own (§7.1).
struct RedirectURI: Sendable {
    private enum Place: Equatable {
        case web(authority: String)
        /// A program takes whichever port it gets.
        case loopback(host: String)
        case app(scheme: String)
    }

    let text: String
    private let place: Place
    /// What follows the authority, or the scheme.
    private let rest: String

    static let lengthMax = 2000

    /// `nil`: none that a client may have.
    init?(_ text: String) {
        guard (1...Self.lengthMax).contains(text.utf8.count), Self.isPlain(text),
            let colon = text.firstIndex(of: ":")
        else { return nil }
        let scheme = String(text[..<colon])
        let rest = String(text[text.index(after: colon)...])
        let (authority, path) = Self.split(rest)
        switch scheme {
        case "https":
            guard let authority, Self.host(of: authority) != nil else { return nil }
            (self.place, self.rest) = (.web(authority: authority), path)
        case "http":
            guard let host = authority.flatMap(Self.host(of:)), ["127.0.0.1", "[::1]", "localhost"].contains(host)
            else { return nil }
            (self.place, self.rest) = (.loopback(host: host), path)
        default:
            guard Self.isAppScheme(scheme), !rest.isEmpty, authority?.contains("@") != true else { return nil }
            (self.place, self.rest) = (.app(scheme: scheme), rest)
        }
        self.text = text
    }

    /// Whether an answer may go here when that was registered: the same text, or the same but for a loopback address's port.
    func fits(registered: String) -> Bool {
        if self.text == registered { return true }
        guard case .loopback = self.place, let other = RedirectURI(registered) else { return false }
        return other.place == self.place && other.rest == self.rest
    }

    /// What people know it by.
    var shown: String {
        switch self.place {
        case .web(let authority): authority
        case .loopback: "this device"
        case .app(let scheme): scheme
        }
    }

    /// The address with an answer's parameters.
    func adding(_ parameters: [(name: String, value: String?)]) -> String {
        let pairs = parameters.compactMap { name, value in value.map { "\(name)=\(FormParameters.encode($0))" } }
        let separator = self.text.contains("?") ? (self.text.hasSuffix("?") ? "" : "&") : "?"
        return self.text + separator + pairs.joined(separator: "&")
    }

    /// RFC 3986's characters without a fragment, and every escape whole.
    private static func isPlain(_ text: String) -> Bool {
        let isPlain = text.utf8.allSatisfy { byte in
            (0x21...0x7E).contains(byte) && !Array("\"#<>\\^`{|}".utf8).contains(byte)
        }
        return isPlain
            && text.split(separator: "%", omittingEmptySubsequences: false).dropFirst().allSatisfy {
                $0.utf8.count >= 2 && Hex.decode(String($0.prefix(2))) != nil
            }
    }

    private static func split(_ rest: String) -> (authority: String?, path: String) {
        guard rest.hasPrefix("//") else { return (nil, rest) }
        let authority = rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
        return (String(authority), String(rest.dropFirst(2 + authority.count)))
    }

    /// The host of an authority without user information, and with a port that is one.
    private static func host(of authority: String) -> String? {
        let host =
            authority.hasPrefix("[")
            ? String(authority.prefix { $0 != "]" }) + "]" : String(authority.prefix { $0 != ":" })
        let port = authority.dropFirst(host.count)
        guard authority.hasPrefix(host), port.isEmpty || Self.isPort(port) else { return nil }
        if host.hasPrefix("[") {
            return host.utf8.count > 2 && host.utf8.dropFirst().dropLast().allSatisfy(Self.isAddress6) ? host : nil
        }
        let isName = host.utf8.allSatisfy { Self.isAlphanumeric($0) || $0 == 45 || $0 == 46 }
        return !host.isEmpty && isName ? host : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.first == ":" && text.dropFirst().utf8.allSatisfy { (48...57).contains($0) }
            && (Int(text.dropFirst()).map { (1...65_535).contains($0) } ?? false)
    }

    private static func isAddress6(_ byte: UInt8) -> Bool {
        switch byte {
        case 46, 48...58, 65...70, 97...102: true
        default: false
        }
    }

    /// A domain name backwards (RFC 8252 §7.1), which `javascript` and `data` are not.
    private static func isAppScheme(_ scheme: String) -> Bool {
        guard let first = scheme.utf8.first, (97...122).contains(first), scheme.utf8.count <= 100 else { return false }
        return scheme.contains(".") && !scheme.hasSuffix(".") && !scheme.contains("..")
            && scheme.utf8.allSatisfy { Self.isAlphanumeric($0) || [43, 45, 46].contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: false
        }
    }
}
