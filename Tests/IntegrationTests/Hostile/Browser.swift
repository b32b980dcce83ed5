import Events
import Foundation
import TestSupport

/// A person's browser, as far as auth's pages need one: cookies, forms, redirects that it may be told not to follow.
struct Browser {
    /// A form that a page holds.
    struct Form {
        let action: String
        /// Every field with the value that it has.
        var fields: [(name: String, value: String)]
        /// Buttons with what they say.
        let buttons: [(name: String, value: String, text: String)]
        let hasPassword: Bool

        subscript(name: String) -> String? { self.fields.first { $0.name == name }?.value }
    }

    let port: Int
    let address: String
    private(set) var cookies: [String: String] = [:]

    init(port: Int, address: String) {
        self.port = port
        self.address = address
    }

    var cookieHeader: String { self.cookies.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: "; ") }

    mutating func forgetCookies() { self.cookies = [:] }

    mutating func get(_ path: String) async throws -> HTTPClient.Answer { try await self.send("GET", path, []) }

    mutating func post(
        _ path: String, _ fields: [(name: String, value: String)], origin: String? = nil
    ) async throws -> HTTPClient.Answer {
        let body = fields.map { "\($0.name.formEncoded)=\($0.value.formEncoded)" }.joined(separator: "&")
        return try await self.send(
            "POST", path,
            [
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Origin", origin ?? "http://127.0.0.1:\(self.port)"),
            ],
            Array(body.utf8))
    }

    private mutating func send(
        _ method: String, _ path: String, _ headers: [(String, String)], _ body: [UInt8] = []
    ) async throws -> HTTPClient.Answer {
        var headers = headers + [("X-Forwarded-For", self.address)]
        if !self.cookies.isEmpty { headers.append(("Cookie", self.cookieHeader)) }
        let answer = try await HTTPClient.request(method, port: self.port, path: path, headers: headers, body: body)
        for cookie in (answer.headers["set-cookie"] ?? "").split(separator: "\n") {
            let pair = cookie.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map(String.init)
            guard let name = pair.first else { continue }
            self.cookies[name] = pair.count == 2 && !cookie.contains("Max-Age=0") ? pair[1] : nil
        }
        return answer
    }

    /// Follows redirects within auth until there is a page, or a place outside.
    mutating func follow(_ answer: HTTPClient.Answer) async throws -> HTTPClient.Answer {
        var answer = answer
        while let location = answer.headers["location"], let path = self.path(location) {
            answer = try await self.get(path)
        }
        return answer
    }

    /// The path, if the place is auth's.
    private func path(_ location: String) -> String? {
        if location.hasPrefix("/") { return location }
        let origin = "http://127.0.0.1:\(self.port)"
        return location.hasPrefix(origin + "/") ? String(location.dropFirst(origin.count)) : nil
    }

    /// Signs in and allows what is asked; the address that the client gets.
    mutating func authorize(_ path: String, email: String, password: String) async throws -> URLComponents {
        var answer = try await self.follow(try await self.get(path))
        for _ in 0..<4 {
            if let location = answer.headers["location"], let place = URLComponents(string: location) { return place }
            let form = try Self.form(answer)
            answer = try await self.follow(try await self.fill(form, email: email, password: password))
        }
        throw Suite.Failure(description: "no end of pages: \(String(decoding: answer.body, as: UTF8.self))")
    }

    /// Sends the form as a person would who means yes.
    mutating func fill(_ form: Form, email: String, password: String) async throws -> HTTPClient.Answer {
        var fields = form.fields
        if form.hasPassword {
            for (index, field) in fields.enumerated() where field.value.isEmpty {
                fields[index].value = field.name == "password" ? password : email
            }
        }
        let yes = form.buttons.first { $0.text.lowercased().contains(/allow|approve|accept|sign in|log in/) }
        if let yes, !yes.name.isEmpty { fields.append((yes.name, yes.value)) }
        return try await self.post(form.action, fields)
    }

    /// The one form of a page that is sent by POST.
    static func form(_ answer: HTTPClient.Answer) throws -> Form {
        let page = String(decoding: answer.body, as: UTF8.self)
        guard let tag = page.firstMatch(of: /<form[^>]*method="post"[^>]*>/.ignoresCase()),
            let end = page[tag.range.upperBound...].range(of: "</form>")
        else { throw Suite.Failure(description: "no form: \(answer.status) \(page.prefix(600))") }
        let inside = page[tag.range.upperBound..<end.lowerBound]
        let inputs = inside.matches(of: /<input[^>]*>/).map { String($0.0) }
        let kinds = inputs.map { Self.attribute("type", in: $0) }
        let fields = zip(inputs, kinds).filter { !["submit", "checkbox"].contains($0.1) }.map { input, _ in
            (name: Self.attribute("name", in: input), value: Self.attribute("value", in: input))
        }
        let chosen = inside.matches(of: /(<select[^>]*>)(.*?)<\/select>/.dotMatchesNewlines()).map { match in
            let options = match.2.matches(of: /<option[^>]*>/).map { String($0.0) }
            let option = options.first { $0.contains(" selected") } ?? options.first ?? ""
            return (name: Self.attribute("name", in: String(match.1)), value: Self.attribute("value", in: option))
        }
        let buttons = inside.matches(of: /(<button[^>]*>)([^<]*)<\/button>/).map { match in
            (
                name: Self.attribute("name", in: String(match.1)), value: Self.attribute("value", in: String(match.1)),
                text: String(match.2)
            )
        }
        return Form(
            action: Self.attribute("action", in: String(tag.0)), fields: (fields + chosen).filter { !$0.name.isEmpty },
            buttons: buttons, hasPassword: kinds.contains("password"))
    }

    private static func attribute(_ name: String, in tag: String) -> String {
        guard let start = tag.range(of: " \(name)=\"") else { return "" }
        let value = String(tag[start.upperBound...].prefix { $0 != "\"" })
        return value.replacing("&quot;", with: "\"").replacing("&#39;", with: "'").replacing("&lt;", with: "<")
            .replacing("&gt;", with: ">").replacing("&amp;", with: "&")
    }
}
