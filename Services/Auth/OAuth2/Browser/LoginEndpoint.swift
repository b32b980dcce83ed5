import Access
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `/oauth2/login` and `/oauth2/logout`: the pages at which people sign in and out. They work without JavaScript.
struct LoginEndpoint {
    let users: Users
    let browsers: BrowserSessions
    let issuer: String

    private static let path = "/oauth2/login"
    private static let purpose = "login"
    private static let visitorLifetime = Duration.seconds(3600)
    private static let emailMax = 254
    private static let passwordMax = 1024

    /// The login page, which leads on to a path of ours.
    /// - Parameter choosing: whether somebody who is signed in is to see who that is.
    static func path(then path: String, choosing: Bool = false) -> String {
        "\(Self.path)?\(choosing ? "choose=1&" : "")continue=\(FormParameters.encode(path))"
    }

    func add(to router: Router<APIContext>) {
        router.get("/oauth2/login") { request, _ in
            try await ErrorPage.guarding { try await self.show(request) }
        }
        router.post("/oauth2/login") { request, context in
            try await ErrorPage.guarding { try await self.signIn(request, context) }
        }
        router.post("/oauth2/logout") { request, context in
            try await ErrorPage.guarding { try await self.signOut(request, context) }
        }
    }

    private func show(_ request: Request) async throws -> Response {
        let query = try FormParameters((request.uri.query ?? "").utf8)
        try query.requireNoneRepeated()
        let next = try Self.next(query["continue"])
        guard let session = try await self.browsers.find(request) else { return self.form(request, next) }
        if let next, query["choose"] == nil { return WebPage.redirect(to: next) }
        let onward: HTML = next.map { "<p class=\"foot quiet\"><a href=\"\($0)\">Go on as you are</a></p>" } ?? ""
        return WebPage(
            title: "Signed in",
            body: """
                <h1>You are signed in</h1>
                \(SignOutForm(user: session.user, session: session.secret, then: next).html)
                \(onward)
                """
        ).response()
    }

    /// Where to go on after the sign-in: back to a request for authorization, and nowhere else.
    static func next(_ text: String?) throws(APIFailure) -> String? {
        guard let text else { return nil }
        guard text.hasPrefix("\(AuthorizationRequest.path)?"),
            text.utf8.count <= AuthorizationRequest.queryBytesMax + 100,
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") })
        else {
            throw FormParameters.invalid("The address to go on to is not one of ours.")
        }
        return text
    }

    private func signIn(_ request: Request, _ context: APIContext) async throws -> Response {
        guard FormOrigin.isOurs(request, issuer: self.issuer) else { throw ErrorPage.foreign }
        let form = try await request.form()
        try form.requireNoneRepeated()
        let next = try Self.next(form["continue"])
        guard let visitor = self.browsers.cookies.read(.visitor, of: request),
            FormToken(visitor, purpose: Self.purpose).accepts(form["csrf"])
        else {
            return self.form(
                request, next, .forbidden, "The form was out of date. If this comes again, allow cookies for this site."
            )
        }
        guard let email = form["email"], let password = form["password"], email.unicodeScalars.count <= Self.emailMax,
            password.unicodeScalars.count <= Self.passwordMax
        else {
            return self.form(request, next, .badRequest, "Enter your e-mail address and your password.")
        }
        do {
            let user = try await self.users.authenticate(
                email: email, password: password, address: context.clientAddress)
            return try await self.welcome(user, request, next)
        } catch let failure as APIFailure where failure.status == .unauthorized {
            // Not 401, which would ask the browser for credentials of another kind.
            return self.form(request, next, .forbidden, "The e-mail address or the password is wrong.")
        } catch let failure as APIFailure where failure.status == .tooManyRequests {
            let seconds = failure.headers[.retryAfter] ?? "60"
            return self.form(
                request, next, .tooManyRequests,
                "Too many failed attempts. Try again in \(seconds) \(seconds == "1" ? "second" : "seconds").",
                [.retryAfter: seconds])
        }
    }

    private func welcome(_ user: User, _ request: Request, _ next: String?) async throws -> Response {
        let cookies = self.browsers.cookies
        let secret = try await self.browsers.begin(user, replacing: cookies.read(.session, of: request))
        var headers = HTTPFields()
        headers.append(cookies.field(.session, secret, for: BrowserSessions.lifetime))
        headers.append(cookies.field(.visitor, nil, for: .zero))
        return WebPage.redirect(to: next ?? Self.path, headers)
    }

    private func signOut(_ request: Request, _ context: APIContext) async throws -> Response {
        guard FormOrigin.isOurs(request, issuer: self.issuer) else { throw ErrorPage.foreign }
        let form = try await request.form()
        try form.requireNoneRepeated()
        let next = try Self.next(form["continue"])
        if let session = try await self.browsers.find(request) {
            guard FormToken(session.secret, purpose: SignOutForm.purpose).accepts(form["csrf"]) else {
                throw ErrorPage.foreign
            }
            try await self.browsers.end(session, address: context.clientAddress)
        }
        var headers = HTTPFields()
        headers.append(self.browsers.cookies.field(.session, nil, for: .zero))
        return WebPage.redirect(to: next ?? Self.path, headers)
    }

    private func form(
        _ request: Request, _ next: String?, _ status: HTTPResponse.Status = .ok, _ problem: String? = nil,
        _ headers: HTTPFields = [:]
    ) -> Response {
        let cookies = self.browsers.cookies
        let visitor = cookies.read(.visitor, of: request) ?? BrowserCookies.secret()
        var headers = headers
        headers.append(cookies.field(.visitor, visitor, for: Self.visitorLifetime))
        let token = FormToken(visitor, purpose: Self.purpose)
        let notice: HTML = problem.map { "<p class=\"bad\" role=\"alert\">\($0)</p>" } ?? ""
        let carried: HTML = next.map { "<input type=\"hidden\" name=\"continue\" value=\"\($0)\">" } ?? ""
        return WebPage(
            status: status, title: "Sign in",
            body: """
                <h1>Sign in</h1>
                \(notice)
                <form method="post" action="\(Self.path)">
                <input type="hidden" name="csrf" value="\(token.text)">
                \(carried)
                <label>E-mail address
                <input type="email" name="email" autocomplete="username" maxlength="254" required autofocus>
                </label>
                <label>Password
                <input type="password" name="password" autocomplete="current-password" maxlength="1024" required>
                </label>
                <p class="actions"><button class="main">Sign in</button></p>
                </form>
                """
        ).response(headers)
    }
}
