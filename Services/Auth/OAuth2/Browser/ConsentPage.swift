import Events

/// Asks a user whether a client may.
struct ConsentPage {
    let request: AuthorizationRequest
    let user: User
    let places: [AuthorizationRequest.Place]
    /// The cookie's secret.
    let session: String

    var page: WebPage {
        let client = self.request.client
        let token = FormToken(self.session, purpose: AuthorizeEndpoint.purpose, content: self.request.query)
        // Isolated: a name may hold characters that turn the text around it.
        return WebPage(
            title: "Allow access?",
            body: """
                <h1>Allow <bdi>\(client.name)</bdi> to use your account?</h1>
                <p class="quiet">Registered in the channel \(client.tenant). Your answer goes to
                <strong>\(self.request.redirectURI.shown)</strong>.</p>
                <form method="post" action="\(AuthorizationRequest.path)">
                <input type="hidden" name="request" value="\(self.request.query)">
                <input type="hidden" name="csrf" value="\(token.text)">
                \(self.choice)
                <p>It will be able to:</p>
                \(self.scopes)
                <p class="actions">
                <button class="main" name="decision" value="allow">Allow</button>
                <button name="decision" value="deny">Deny</button>
                </p>
                </form>
                <p class="foot quiet">Signed in as \(self.user.email).
                <a href="\(LoginEndpoint.path(then: self.path, choosing: true))">Not you?</a></p>
                """)
    }

    private var path: String { "\(AuthorizationRequest.path)?\(self.request.query)" }

    private var choice: HTML {
        guard self.places.count > 1 else {
            return HTML(
                self.places.map { place in
                    """
                    <input type="hidden" name="place" value="\(place.value)">
                    <p class="quiet">For the \(Self.label(place)).</p>
                    """
                })
        }
        let options = HTML(
            self.places.map { "<option value=\"\($0.value)\">\(Self.label($0))</option>\n" })
        return """
            <label>Where
            <select name="place">
            \(options)</select>
            </label>
            """
    }

    private static func label(_ place: AuthorizationRequest.Place) -> String {
        place.station.map { "channel \(place.tenant), station \($0)" } ?? "channel \(place.tenant)"
    }

    /// What it could be anywhere; where that is not the same everywhere, what the user may do in the chosen channel counts.
    private var scopes: HTML {
        let all = self.places.reduce(into: Set<Scope>()) { $0.formUnion($1.scopes.all) }
        let items = HTML(all.sorted { $0.name < $1.name }.map { "<li>\(ScopeWords.words(for: $0))</li>\n" })
        let isSame = self.places.allSatisfy { $0.scopes.all == all }
        let hint: HTML = isSame ? "" : "<p class=\"quiet\">Of these, what you may do there yourself.</p>"
        return """
            <ul>
            \(items)</ul>
            \(hint)
            """
    }
}

/// Who is signed in, and the way out.
struct SignOutForm {
    let user: User
    /// The cookie's secret.
    let session: String
    /// Where to go on; `nil`: nowhere.
    let then: String?

    static let purpose = "logout"

    var html: HTML {
        let next: HTML =
            self.then.map { "<input type=\"hidden\" name=\"continue\" value=\"\($0)\">" } ?? ""
        return """
            <p>You are signed in as \(self.user.email).</p>
            <form method="post" action="/oauth2/logout">
            <input type="hidden" name="csrf" value="\(FormToken(self.session, purpose: Self.purpose).text)">
            \(next)
            <p class="actions"><button>Sign out</button></p>
            </form>
            """
    }
}
