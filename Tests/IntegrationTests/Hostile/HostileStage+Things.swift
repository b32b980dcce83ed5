import Events
import Foundation
import TestSupport

extension HostileStage {
    /// Makes what a placeholder's first word stands for.
    func make(_ thing: String) async throws {
        switch thing {
        case "owner": self.set(["owner": try self.suite.ownerKey], secret: ["owner"])
        case "all": try await self.token("all", "jwt", scope: "*")
        case "reader": try await self.token("reader", "jwt", scope: "radio:read")
        case "keys": try await self.token("keys", "oauth2", scope: "keys:write radio:read")
        case "users": try await self.token("users", "oauth2", scope: "users:read users:write radio:read")
        case "onlooker": try await self.token("onlooker", "oauth2", scope: "users:read")
        case "auditor": try await self.token("auditor", "oauth2", scope: "audit:read")
        case "stranger": try await self.token("stranger", "jwt", scope: "*", tenant: "theirs")
        case "key": try await self.key("key", tenant: nil)
        case "their-key": try await self.key("their-key", tenant: "theirs")
        case "owners-key": try await self.ownersKey()
        case "client": try await self.client("client")
        case "their-client": try await self.client("their-client", ["tenant": "theirs"])
        case "machine": try await self.client("machine", ["redirect_uris": nil, "grants": ["client_credentials"]])
        case "thief": try await self.client("thief")
        case "public": try await self.client("public", ["type": "public"])
        case "user": try await self.user("user", channel: "default")
        case "their-user": try await self.user("their-user", channel: "theirs")
        case "channel": try await self.thing("channel", "/v1/auth/channels", ["id": "studio", "name": "a channel"])
        case "signing-key": try await self.signingKey()
        case "revoked": try await self.revoked()
        case "bound":
            try await self.key("bound", tenant: nil, ["allowed_ips": ["192.0.2.1"], "name": "bound"])
        case "ticket": try await self.ticket()
        case "session": try await self.session()
        default: throw Suite.Failure(description: "nobody knows how to make <\(thing)>")
        }
    }

    private func created(_ path: String, _ body: JSON?, token: String? = nil) async throws -> JSON {
        let answer = try await self.suite.request("POST", .auth, path, body, token: try token ?? self.suite.ownerKey)
        guard answer.status == 201 else {
            throw Suite.Failure(description: "POST \(path) \(body ?? .null): \(answer.status) \(answer.body)")
        }
        return answer.body
    }

    private static func text(_ body: JSON, _ member: String) throws -> String {
        guard let text = body[member]?.string else { throw Suite.Failure(description: "no \(member) in \(body)") }
        return text
    }

    private func thing(_ name: String, _ path: String, _ body: JSON) async throws {
        self.set(["\(name).id": try Self.text(try await self.created(path, body), "id")])
    }

    func token(_ name: String, _ type: String, scope: String, tenant: String? = nil) async throws {
        self.set([name: try await self.suite.token(type, tenant: tenant, scope: scope)], secret: [name])
    }

    /// `<name.id>` and `<name.secret>`.
    private func key(_ name: String, tenant: String?, _ more: [String: JSON] = [:]) async throws {
        var body: [String: JSON] = ["name": .string(name), "scopes": ["*"]]
        if let tenant { body["tenant"] = .string(tenant) }
        let made = try await self.created("/v1/auth/keys", .object(body.merging(more) { $1 }))
        self.set(
            ["\(name).id": try Self.text(made, "id"), "\(name).secret": try Self.text(made, "key")],
            secret: ["\(name).secret"])
    }

    private func ownersKey() async throws {
        let list = try await self.suite.request("GET", .auth, "/v1/auth/keys?limit=100", token: try self.suite.ownerKey)
        guard let id = list["data"]?.array?.first(where: { $0["name"] == "owner" })?["id"]?.string else {
            throw Suite.Failure(description: "no owner's key: \(list.body)")
        }
        self.set(["owners-key.id": id])
    }

    /// `<name.id>`, `<name.secret>` unless it is public, and both as HTTP Basic.
    private func client(_ name: String, _ more: [String: JSON?] = [:]) async throws {
        var body: [String: JSON] = [
            "name": .string(name), "scope": "streams:read radio:read", "redirect_uris": [.string(Self.redirect)],
            "grants": ["client_credentials", "authorization_code", "refresh_token"],
        ]
        if name == "public" { body["grants"] = ["authorization_code", "refresh_token"] }
        for (member, value) in more { body[member] = value }
        let made = try await self.created("/v1/oauth2/clients", .object(body))
        let id = try Self.text(made, "client_id")
        self.set(["\(name).id": id])
        guard let secret = made["client_secret"]?.string else { return }
        self.set(
            [
                "\(name).secret": secret, "\(name).basic": Data("\(id):\(secret)".utf8).base64EncodedString(),
                "\(name).wrong": Data("\(id):wrong".utf8).base64EncodedString(),
            ], secret: ["\(name).secret", "\(name).basic"])
    }

    /// `<name.id>`, `<name.email>`, `<name.password>`.
    private func user(_ name: String, channel: String) async throws {
        if channel == "theirs" { try await self.thing("their-channel", "/v1/auth/channels", ["id": "theirs"]) }
        let password = "horse-\(UUID().uuidString)-staple"
        let email = "\(name)-\(UUID().uuidString.prefix(8).lowercased())@example.com"
        let body: JSON = [
            "email": .string(email), "password": .string(password), "name": .string(name),
            "roles": [["channel": .string(channel), "role": "admin"]],
        ]
        let made = try await self.created("/v1/auth/users", body)
        self.set(
            ["\(name).id": try Self.text(made, "id"), "\(name).email": email, "\(name).password": password],
            secret: ["\(name).password"])
    }

    private func signingKey() async throws {
        let keys = try await self.suite.request("GET", .auth, "/.well-known/jwks.json")
        guard let kid = keys["keys"]?.array?.first?["kid"]?.string else {
            throw Suite.Failure(description: "no signing key: \(keys.body)")
        }
        self.set(["signing-key.id": kid])
    }

    /// One of each kind that was good and is not any more.
    private func revoked() async throws {
        for type in ["jwt", "oauth2", "apikey"] {
            let made = try await self.created("/v1/tokens", ["type": .string(type), "scope": "*"])
            let token = try Self.text(made, "token")
            self.set(["revoked.\(type)": token], secret: ["revoked.\(type)"])
            let path = type == "apikey" ? "/v1/auth/keys" : "/v1/tokens"
            let answer = try await self.suite.request(
                "DELETE", .auth, "\(path)/\(try Self.text(made, "id"))", token: try self.suite.ownerKey)
            guard answer.status == 204 else { throw Suite.Failure(description: "\(answer.status) \(answer.body)") }
            try await Suite.eventually("the others know that it is revoked") {
                try await self.suite.request("GET", .streamMetrics, "/v1/streams", token: token).status == 401
            }
        }
    }

    /// The cookies of somebody who has signed in.
    private func session() async throws {
        await self.prepare(["<user.email>", "<client.id>"])
        var browser = Browser(port: self.suite.port(.auth), address: self.address())
        _ = try await browser.authorize(
            self.authorizePath(client: "client"), email: try self["user.email"], password: try self["user.password"])
        self.set(["session.cookie": browser.cookieHeader])
        for value in browser.cookies.values { self.keep(secret: value) }
    }

    /// A good authorization request, with RFC 7636's own example of a challenge.
    func authorizePath(client: String, scope: String = "radio:read") throws -> String {
        let query = [
            ("response_type", "code"), ("client_id", try self["\(client).id"]), ("redirect_uri", Self.redirect),
            ("scope", scope), ("state", "st-1"), ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ]
        return "/oauth2/authorize?" + query.map { "\($0.0)=\($0.1.formEncoded)" }.joined(separator: "&")
    }

    private func ticket() async throws {
        let made = try await self.created("/v1/tickets", nil)
        self.set(["ticket": try Self.text(made, "ticket")], secret: ["ticket"])
    }
}
