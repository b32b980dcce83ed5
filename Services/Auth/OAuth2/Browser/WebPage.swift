import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// A page for people: no script, nothing from elsewhere, in no frame.
struct WebPage {
    var status: HTTPResponse.Status = .ok
    let title: String
    let body: HTML

    private static let contentTypeOptions = HTTPField.Name("X-Content-Type-Options")
    private static let referrerPolicy = HTTPField.Name("Referrer-Policy")
    private static let frameOptions = HTTPField.Name("X-Frame-Options")

    /// No `form-action`: browsers apply it to what follows a form too, and the answer to the last one leads to the client.
    private static let policy: String = {
        let hash = Data(SHA256.hash(data: Array(Self.style.utf8))).base64EncodedString()
        return "default-src 'none'; style-src 'sha256-\(hash)'; frame-ancestors 'none'; base-uri 'none'"
    }()

    func response(_ headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = "text/html; charset=utf-8"
        headers[.contentSecurityPolicy] = Self.policy
        Self.protect(&headers)
        return Response(
            status: self.status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: self.document.text)))
    }

    /// Sends the browser on, by GET whatever it did before.
    ///
    /// Never 307, which would send a password on (RFC 9700 §4.12).
    static func redirect(to location: String, _ headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.location] = location
        Self.protect(&headers)
        return Response(status: .seeOther, headers: headers)
    }

    private static func protect(_ headers: inout HTTPFields) {
        headers.forbidStoring()
        for (name, value) in [
            (Self.contentTypeOptions, "nosniff"), (Self.referrerPolicy, "no-referrer"), (Self.frameOptions, "DENY"),
        ] {
            if let name { headers[name] = value }
        }
    }

    private var document: HTML {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(self.title) · Crosspoint</title>
        <style>\(HTML(stringLiteral: Self.style))</style>
        </head>
        <body>
        <main>
        <p class="mark">Crosspoint</p>
        \(self.body)
        </main>
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --back: #f3f4f6; --card: #ffffff; --text: #16191d; --quiet: #59616b;
            --line: #d5d9df; --accent: #0b5fbf; --on-accent: #ffffff; --bad: #a31621; --bad-back: #fdecec; }
        @media (prefers-color-scheme: dark) {
            :root { --back: #111418; --card: #1b2026; --text: #e9edf2; --quiet: #a3adb9; --line: #37404a;
                --accent: #6fb1ff; --on-accent: #06203f; --bad: #ffb3b3; --bad-back: #3a1d20; }
        }
        * { box-sizing: border-box; }
        body { margin: 0; min-height: 100vh; display: flex; align-items: center; justify-content: center;
            background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
        main { width: 100%; max-width: 27rem; margin: 1rem; padding: 1.75rem; background: var(--card);
            border: 1px solid var(--line); border-radius: 12px; overflow-wrap: anywhere; }
        .mark { margin: 0 0 1.25rem; color: var(--quiet); font-size: .8rem; font-weight: 600; letter-spacing: .12em;
            text-transform: uppercase; }
        h1 { margin: 0 0 .75rem; font-size: 1.35rem; line-height: 1.3; }
        p, ul, dl { margin: 0 0 1rem; }
        ul { padding-left: 1.2rem; }
        .quiet { color: var(--quiet); font-size: .9rem; }
        .bad { padding: .6rem .8rem; border-radius: 8px; background: var(--bad-back); color: var(--bad); }
        label { display: block; margin-bottom: 1rem; font-weight: 600; font-size: .9rem; }
        input[type=email], input[type=password], select { display: block; width: 100%; margin-top: .3rem; padding: .6rem .7rem;
            border: 1px solid var(--line); border-radius: 8px; background: var(--back); color: var(--text); font: inherit; }
        .actions { display: flex; gap: .75rem; margin: 1.25rem 0 0; }
        button { flex: 1; padding: .65rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: transparent;
            color: var(--text); font: inherit; font-weight: 600; cursor: pointer; }
        button.main { border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
        a { color: var(--accent); }
        :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
        .foot { margin: 1.25rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); }
        """
}
