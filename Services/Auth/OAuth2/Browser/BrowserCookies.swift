import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import ServiceKit

/// The two cookies of the sign-in pages: who is signed in, and, before that, which browser the form was given to.
///
/// They go to `/oauth2` only, so that no other service at the same origin ever sees them. `__Host-` would need the path `/`; over
/// https they have the prefix `__Secure-`, which keeps a page without TLS from setting them.
struct BrowserCookies: Sendable {
    enum Name: String {
        case session = "crosspoint_session"
        case visitor = "crosspoint_visitor"
    }

    let isSecure: Bool

    /// - Parameter issuer: the address that browsers reach us by.
    init(issuer: String) { self.isSecure = issuer.hasPrefix("https://") }

    private func full(_ name: Name) -> String { (self.isSecure ? "__Secure-" : "") + name.rawValue }

    /// The cookie's secret, if it is one that we could have made.
    func read(_ name: Name, of request: Request) -> String? {
        for pair in request.headers[values: .cookie].flatMap({ $0.split(separator: ";") }) {
            let halves = pair.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " } }
            guard halves.count == 2, halves[0] == self.full(name) else { continue }
            guard halves[1].utf8.count == 64, Hex.decode(halves[1]) != nil else { return nil }
            return halves[1]
        }
        return nil
    }

    /// - Parameter secret: `nil`: the browser is to forget it.
    func field(_ name: Name, _ secret: String?, for lifetime: Duration) -> HTTPField {
        let seconds = secret == nil ? 0 : lifetime.components.seconds
        let flags = "Path=/oauth2; Max-Age=\(seconds); HttpOnly; SameSite=Lax" + (self.isSecure ? "; Secure" : "")
        return HTTPField(name: .setCookie, value: "\(self.full(name))=\(secret ?? ""); \(flags)")
    }

    static func secret() -> String {
        var generator = SystemRandomNumberGenerator()
        return Hex.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}

/// What a form proves with that it is ours: made from the cookie of the browser that it was given to, and from what it is for.
/// Nobody else can make or read it, and it is good for no other form and no other browser.
struct FormToken {
    let text: String

    /// - Parameters:
    ///   - purpose: which form.
    ///   - content: what the form carries that must not change.
    init(_ cookie: String, purpose: String, content: String = "") {
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(purpose)\n\(content)".utf8), using: SymmetricKey(data: Array(cookie.utf8)))
        self.text = Hex.encode(code)
    }

    func accepts(_ given: String?) -> Bool { given?.isSame(inConstantTimeAs: self.text) ?? false }
}

/// Where a form comes from, as the browser says: the form's token is what counts, this is a second lock.
enum FormOrigin {
    /// Our pages send no referrer, and browsers then send the origin `null` even to us: that says nothing.
    static func isOurs(_ request: Request, issuer: String) -> Bool {
        if let site = HTTPField.Name("Sec-Fetch-Site").flatMap({ request.headers[$0] }) {
            guard ["same-origin", "none"].contains(site) else { return false }
        }
        guard let origin = HTTPField.Name("Origin").flatMap({ request.headers[$0] }), origin != "null" else {
            return true
        }
        let authority = request.head.authority ?? ""
        return Self.origin(of: issuer) == origin || ["http://\(authority)", "https://\(authority)"].contains(origin)
    }

    private static func origin(of url: String) -> String {
        let parts = url.split(separator: "/", omittingEmptySubsequences: false)
        return parts.prefix(3).joined(separator: "/")
    }
}
