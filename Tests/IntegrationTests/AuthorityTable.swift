import Events
import Foundation
import TestSupport
import Testing

/// A credential as it is shown to an endpoint, and what it is worth.
struct Presented {
    let name: String
    let token: String
    let worth: Principal
    /// When the last thing that it makes must have ended; `nil`: never.
    let end: Timestamp?
    /// Its API key's id, if it is one.
    var key: String?
}

/// A credential that an endpoint answered with.
struct Given {
    let what: String
    let worth: Principal
    /// What it is compared with, where that is not the credential of the request.
    var limit: Presented?
    var mayBeSignIn = false
}

/// One or more endpoints that answer with a credential, and every attempt to get too much from them.
struct AuthorityRow: Sendable {
    let operations: Set<String>
    /// How many credentials all attempts must have got at least.
    let givenMin: Int
    let attempt: @Sendable (AuthorityStage, Presented) async throws -> [Given]
}

/// A suite with users, clients and one credential of each kind.
final class AuthorityStage {
    let suite: Suite
    private let owner: String
    private let browser: OAuth2Browser
    let machine: OAuth2TestClient
    let panel: OAuth2TestClient

    static let password = AccountsTests.password
    private static let clientScope = "keys:write radio:read streams:*"
    private static let day: Int64 = 86_400
    private static let sessionSeconds: Int64 = 30 * AuthorityStage.day
    /// Scopes of every breadth.
    private static let probes: [Scope] = [
        "*", "auth:admin", "auth:*", "radio:read", "radio:write", "radio:*", "keys:write", "users:write",
        "streams:read",
        "streams:*", "obs:scene", "obs:scene:studio", "audit:read",
    ]

    init(_ suite: Suite) async throws {
        self.suite = suite
        self.owner = try suite.ownerKey
        for channel in ["north", "south"] { try await AccountsTests.channel(suite, channel) }
        _ = try await AccountsTests.make(suite, "admin@x", [AccountsTests.role("north", "admin")])
        _ = try await AccountsTests.make(
            suite, "local@x",
            [
                AccountsTests.role("north", "admin", station: "s1"), AccountsTests.role("south", "dj", station: "s2"),
            ])
        let machine = try await suite.request(
            "POST", .auth, "/v1/oauth2/clients", ["name": "machine", "scope": .string(Self.clientScope)],
            token: self.owner)
        self.machine = OAuth2TestClient(
            suite: suite, id: try #require(machine["client_id"]?.string), secret: machine["client_secret"]?.string)
        self.panel = try await OAuth2TestClient.make(
            suite, ["scope": .string(Self.clientScope), "token_format": "jwt"])
        self.browser = OAuth2Browser(suite)
        try await self.browser.signIn("owner@localhost", LoginTests.password)
    }

    /// What a credential is worth: a signed token's claims, and of others what auth says of them.
    static func worth(of token: String, _ suite: Suite) async throws -> Principal {
        guard token.split(separator: ".").count == 3 else {
            return try #require(try await suite.call(Introspect(token: token, remoteAddress: nil)).principal)
        }
        let claims = try LoginTests.claims(token)
        func texts(_ name: String) -> Set<String>? { claims[name]?.array.map { Set($0.compactMap(\.string)) } }
        return Principal(
            subject: try #require(claims["sub"]?.string), name: "", tenant: try #require(claims["tenant"]?.string),
            scopes: Scopes(claim: try #require(claims["scope"]?.string)),
            limits: RoomLimits(
                stations: texts("stations"), streams: texts("streams"), cameras: texts("cameras"),
                obsConnections: texts("obs_connections")),
            credential: .jwt, credentialID: try #require(claims["jti"]?.string),
            expires: claims["exp"]?.double.map { Timestamp(milliseconds: Int64($0) * 1000) },
            tier: claims["tier"]?.string.flatMap(Tier.init) ?? .free, client: claims["client_id"]?.string,
            session: claims["sid"]?.string, origin: claims["origin"]?.string)
    }

    func worth(of token: String) async throws -> Principal { try await Self.worth(of: token, self.suite) }

    // MARK: what is presented

    /// One of each kind, new each time: some attempts use theirs up.
    func presented() async throws -> [Presented] {
        let narrow: [String: JSON] = ["scope": "auth:admin keys:write radio:read", "tier": "pro"]
        let signedIn = try await self.signIn("the owner's sign-in", "owner@localhost", LoginTests.password)
        let key = try await self.post("/v1/auth/keys", self.owner, Self.limitedKey)
        let machine = try await self.machine.send("/oauth2/token", [("grant_type", "client_credentials")])
        let session = try await self.session()
        return [
            try await self.plain("the owner's key", self.owner), signedIn,
            try await self.signIn("an admin's sign-in", "admin@x", Self.password),
            try await self.signIn("a sign-in for a station", "local@x", Self.password),
            try await self.made("a signed token of a sign-in", by: signedIn, narrow, type: "jwt"),
            try await self.made("an opaque token of a sign-in", by: signedIn, narrow, type: "oauth2"),
            try await self.made("a key of a sign-in", by: signedIn, narrow, type: "apikey"),
            try await self.made(
                "a token of a tenant", by: signedIn, ["scope": "*", "tenant": "north", "tier": "free"], type: "oauth2"),
            try await self.plain(
                "a key for a station", try #require(key["key"]?.string), key: try #require(key["id"]?.string)),
            try await self.plain("a machine client's token", try #require(machine["access_token"]?.string)),
            try await self.plain("a client's token for a user", try #require(session["access_token"]?.string)),
        ]
    }

    private static let limitedKey: JSON = [
        "name": "k", "scopes": ["keys:write", "radio:read"], "stations": ["s1"], "expires_in_days": 2, "tier": "pro",
    ]

    private func plain(_ name: String, _ token: String, key: String? = nil) async throws -> Presented {
        let worth = try await self.worth(of: token)
        return Presented(name: name, token: token, worth: worth, end: worth.expires, key: key)
    }

    private func signIn(_ name: String, _ email: String, _ password: String) async throws -> Presented {
        let token = try await AccountsTests.signIn(self.suite, email, password: password).access
        return Presented(
            name: name, token: token, worth: try await self.worth(of: token), end: .now + .seconds(Self.sessionSeconds))
    }

    private func made(
        _ name: String, by asker: Presented, _ body: [String: JSON], type: String
    ) async throws -> Presented {
        let members = body.merging(["type": .string(type), "ttl_seconds": 600]) { $1 }
        let answer = try await self.post("/v1/tokens", asker.token, .object(members))
        return try await self.plain(
            name, try #require(answer["token"]?.string, "\(answer.status) \(answer.body)"),
            key: type == "apikey" ? answer["id"]?.string : nil)
    }

    /// The tokens of a client that a user of the default tenant agreed to.
    func session(scope: String? = nil) async throws -> Suite.Answer {
        let page = try await self.browser.decide(
            "allow", on: self.panel.request(["scope": scope, "tenant": "default"]))
        return try await self.panel.exchange(try #require(page.parameters["code"], "\(page.location)"))
    }

    func post(_ path: String, _ token: String?, _ body: JSON? = nil) async throws -> Suite.Answer {
        try await self.suite.request("POST", .auth, path, body, token: token)
    }

    // MARK: what is asked for

    struct Ask {
        let what: String
        var scope: String
        var tenant: String?
        var rooms: [String: [String]] = [:]
        var seconds: Int64 = 60
        var tier: String?

        /// Members of a body, but for scope and lifetime, which each endpoint names in its own way.
        var members: [String: JSON] {
            var members: [String: JSON] = [:]
            if let tenant { members["tenant"] = .string(tenant) }
            for (kind, ids) in rooms { members[kind] = .array(ids.map(JSON.string)) }
            if let tier { members["tier"] = .string(tier) }
            return members
        }
    }

    /// Its own rights, and each of them exceeded.
    func asks(for presented: Presented) -> [Ask] {
        let own = presented.worth.scopes.claim
        return [
            Ask(what: "its own", scope: own),
            Ask(what: "less", scope: "radio:read"),
            Ask(what: "everything of the tenant", scope: "*"),
            Ask(what: "everything", scope: "* auth:admin"),
            Ask(what: "another right", scope: "radio:read users:write"),
            Ask(what: "another tenant", scope: "radio:read", tenant: "south"),
            Ask(what: "other stations", scope: "radio:read", rooms: ["stations": ["s1", "s2"]]),
            Ask(what: "another kind of room", scope: "radio:read", rooms: ["streams": ["a"], "cameras": ["b"]]),
            Ask(what: "no station", scope: "radio:read", rooms: ["stations": []]),
            Ask(what: "the longest life", scope: "radio:read", seconds: Self.sessionSeconds),
            Ask(what: "another tier", scope: "radio:read", tier: "enterprise"),
            Ask(
                what: "all at once", scope: "* auth:admin", tenant: "south", rooms: ["stations": ["s2"]],
                seconds: Self.sessionSeconds, tier: "enterprise"),
        ]
    }

    // MARK: comparison

    /// Everything in which a credential is worth more than the one that was shown. Written without the suite's own comparison.
    func excess(of given: Given, over presented: Presented) -> [String] {
        let (limit, out) = (given.limit ?? presented, given.worth)
        let own = limit.worth
        let isAdmin = own.limits == nil && own.scopes.contains(.authAdmin)
        var excess = Self.probes.filter { out.scopes.contains($0) && !own.scopes.contains($0) }.map(\.name)
        if out.tenant != own.tenant, !isAdmin { excess.append("tenant \(out.tenant)") }
        if let rooms = own.limits {
            for kind in RoomLimits.kinds {
                let added = out.limits.map { ($0[kind] ?? []).subtracting(rooms[kind] ?? []) } ?? ["all"]
                if !added.isEmpty { excess.append("rooms \(added)") }
            }
        }
        let tiers = [Tier.free, .pro, .enterprise]
        if !isAdmin, tiers.firstIndex(of: out.tier) ?? 9 > tiers.firstIndex(of: own.tier) ?? 0 {
            excess.append("tier \(out.tier)")
        }
        if let end = limit.end, out.expires.map({ $0 > end }) ?? true {
            excess.append("ends \(out.expires?.iso8601 ?? "never"), not \(end.iso8601)")
        }
        if out.session != nil, out.client == nil, !given.mayBeSignIn { excess.append("a sign-in") }
        return excess
    }
}

enum AuthorityTable {
    static let rows = [
        AuthorityRow(operations: ["POST /v1/tokens"], givenMin: 60, attempt: Self.tokens),
        AuthorityRow(
            operations: ["POST /v1/auth/keys", "POST /api/v1/auth/keys"], givenMin: 60, attempt: Self.keys),
        AuthorityRow(
            operations: ["POST /v1/auth/keys/{id}/rotate", "POST /api/v1/auth/keys/{id}/rotate"], givenMin: 12,
            attempt: Self.rotations),
        AuthorityRow(operations: ["POST /v1/tickets"], givenMin: 11, attempt: Self.tickets),
        AuthorityRow(operations: ["POST /v1/oauth2/clients"], givenMin: 20, attempt: Self.clients),
        AuthorityRow(operations: ["POST /oauth2/token"], givenMin: 5, attempt: Self.grants),
        AuthorityRow(operations: ["POST /api/v1/auth/login"], givenMin: 3, attempt: Self.logins),
        AuthorityRow(operations: ["POST /api/v1/auth/refresh"], givenMin: 6, attempt: Self.refreshes),
    ]

    private static func tokens(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        var given: [Given] = []
        for type in ["jwt", "oauth2", "apikey"] {
            for ask in stage.asks(for: presented) {
                let body = ask.members.merging(
                    ["type": .string(type), "scope": .string(ask.scope), "ttl_seconds": .integer(ask.seconds)]
                ) { $1 }
                let answer = try await stage.post("/v1/tokens", presented.token, .object(body))
                guard let token = try Self.credential(answer, "token") else { continue }
                given.append(Given(what: "\(type), \(ask.what)", worth: try await stage.worth(of: token)))
            }
        }
        return given
    }

    private static func keys(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        var given: [Given] = []
        for (number, ask) in stage.asks(for: presented).enumerated() {
            let path = number.isMultiple(of: 2) ? "/v1/auth/keys" : "/api/v1/auth/keys"
            let days: [Int64?] = ask.what == "its own" || ask.seconds > 60 ? [nil, 1, 365] : [1]
            for days in days {
                var body = ask.members
                body["name"] = "k"
                body["scopes"] = .array(ask.scope.split(separator: " ").map { .string(String($0)) })
                body["expires_in_days"] = days.map(JSON.integer)
                let answer = try await stage.post(path, presented.token, .object(body))
                guard let key = try Self.credential(answer, "key") else { continue }
                let what = "\(ask.what), \(days.map(String.init) ?? "no") days"
                given.append(Given(what: what, worth: try await stage.worth(of: key)))
            }
        }
        return given
    }

    /// Keys of others that are worth more or last longer, its own, and one that it made.
    private static func rotations(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        let owner = try stage.suite.ownerKey
        let targets: [JSON] = [
            ["name": "all", "scopes": ["*"]], ["name": "everything", "scopes": ["*", "auth:admin"]],
            ["name": "lasting", "scopes": ["radio:read"]],
            ["name": "a year", "scopes": ["radio:read"], "expires_in_days": 365, "tier": "pro"],
            ["name": "elsewhere", "scopes": ["radio:read"], "tenant": "south", "expires_in_days": 1],
            ["name": "the tenant's", "scopes": ["radio:read"], "tenant": .string(presented.worth.tenant)],
            ["name": "a station", "scopes": ["radio:read"], "stations": ["s1"], "expires_in_days": 1, "tier": "pro"],
        ]
        var ids: [(String, String)] = []
        for body in targets {
            let answer = try await stage.post("/v1/auth/keys", owner, body)
            ids.append((body["name"]?.string ?? "", try #require(answer["id"]?.string, "\(answer.body)")))
        }
        let made = try await stage.post(
            "/v1/auth/keys", presented.token, ["name": "made", "scopes": ["radio:read"], "expires_in_days": 1])
        if let id = made["id"]?.string { ids.append(("made", id)) }
        if let key = presented.key { ids.append(("itself", key)) }
        var given: [Given] = []
        for (number, (what, id)) in ids.enumerated() {
            let path = "\(number.isMultiple(of: 2) ? "" : "/api")/v1/auth/keys/\(id)/rotate"
            let answer = try await stage.post(path, presented.token)
            guard let key = try Self.credential(answer, "new_key") else { continue }
            given.append(Given(what: what, worth: try await stage.worth(of: key)))
        }
        return given
    }

    private static func tickets(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        let answer = try await stage.post("/v1/tickets", presented.token)
        guard let ticket = try Self.credential(answer, "ticket") else { return [] }
        let redeemed = try await stage.suite.call(RedeemTicket(ticket: ticket, remoteAddress: nil)).principal
        return [Given(what: "a ticket", worth: try #require(redeemed))]
    }

    private static func clients(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        var given: [Given] = []
        for ask in stage.asks(for: presented) where ask.tier == nil {
            let body = ask.members.merging(["name": "c", "scope": .string(ask.scope)]) { $1 }
            let answer = try await stage.post("/v1/oauth2/clients", presented.token, .object(body))
            guard let secret = try Self.credential(answer, "client_secret") else { continue }
            let client = OAuth2TestClient(
                suite: stage.suite, id: try #require(answer["client_id"]?.string), secret: secret)
            let issued = try await client.send("/oauth2/token", [("grant_type", "client_credentials")])
            var worth = try await stage.worth(of: try #require(issued["access_token"]?.string, "\(issued.body)"))
            // The client is what lasts.
            worth.expires = answer["expires_at"]?.string.flatMap(Timestamp.init(iso8601:))
            given.append(Given(what: ask.what, worth: worth))
        }
        return given
    }

    /// Each grant, once: what is shown here is the client, the code or the refresh token.
    private static func grants(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        guard presented.name == "the owner's key" else { return [] }
        var given: [Given] = []
        let machine = try await stage.machine.send("/oauth2/token", [("grant_type", "client_credentials")])
        let whole = try await stage.worth(of: try #require(machine["access_token"]?.string))
        func limit(_ name: String, _ worth: Principal) -> Presented {
            Presented(name: name, token: "", worth: worth, end: .now + .seconds(3601))
        }
        for scope in [nil, "radio:read", "*", "streams:* users:write", "auth:admin"] {
            let answer = try await stage.machine.send(
                "/oauth2/token", [("grant_type", "client_credentials"), ("scope", scope)])
            guard let token = try Self.credential(answer, "access_token") else { continue }
            given.append(
                Given(
                    what: "client_credentials, \(scope ?? "-")", worth: try await stage.worth(of: token),
                    limit: limit("a client", whole)))
        }
        // What the user agreed to is less than what the client and the user have.
        var agreed = whole
        (agreed.scopes, agreed.client) = (["radio:read", "streams:read"], stage.panel.id)
        agreed.tier = .enterprise
        let session = try await stage.session(scope: "radio:read streams:read")
        var tokens = [("authorization_code", try #require(session["access_token"]?.string))]
        var refresh = try #require(session["refresh_token"]?.string)
        for scope in ["radio:read", nil, "*", "keys:write", "streams:*"] {
            let answer = try await stage.panel.refresh(refresh, scope: scope)
            guard let token = try Self.credential(answer, "access_token") else { continue }
            tokens.append(("refresh_token, \(scope ?? "-")", token))
            refresh = try #require(answer["refresh_token"]?.string)
        }
        for (what, token) in tokens {
            given.append(
                Given(what: what, worth: try await stage.worth(of: token), limit: limit("a consent", agreed)))
        }
        return given
    }

    /// A password, once: what is shown is what its user is.
    private static func logins(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        guard presented.name == "the owner's key" else { return [] }
        var given: [Given] = []
        for (station, stations, tenant) in [
            (nil, ["s1"], "north"), ("s1", ["s1"], "north"), ("s2", ["s2"], "south"), ("s3", [], "north"),
        ] as [(String?, Set<String>, String)] {
            let answer = try await LoginTests.logIn(
                stage.suite, "local@x", AuthorityStage.password, station: station)
            guard let token = try Self.credential(answer, "access_token") else { continue }
            let worth = try await stage.worth(of: token)
            let scopes: Scopes = tenant == "north" ? [.all] : ["radio:read", "streams:read"]
            let user = Principal(
                subject: worth.subject, name: "", tenant: tenant, scopes: scopes, stations: stations, credential: .jwt,
                credentialID: "")
            let limit = Presented(name: "a user", token: "", worth: user, end: .now + .seconds(901))
            given.append(Given(what: station ?? "-", worth: worth, limit: limit, mayBeSignIn: true))
        }
        return given
    }

    /// Of all of them only sign-ins are refreshed, by their access token or their refresh token.
    private static func refreshes(_ stage: AuthorityStage, _ presented: Presented) async throws -> [Given] {
        let answer = try await stage.post("/api/v1/auth/refresh", presented.token)
        guard let token = try Self.credential(answer, "access_token") else { return [] }
        let isSignIn = presented.worth.session != nil && presented.worth.client == nil
        let byToken = try await LoginTests.refresh(stage.suite, try #require(answer["refresh_token"]?.string))
        return [
            Given(what: "by itself", worth: try await stage.worth(of: token), mayBeSignIn: isSignIn),
            Given(
                what: "by the refresh token",
                worth: try await stage.worth(of: try #require(byToken["access_token"]?.string)), mayBeSignIn: isSignIn),
        ]
    }

    /// The credential of an answer; `nil` for a refusal. Anything else is not expected.
    private static func credential(_ answer: Suite.Answer, _ member: String) throws -> String? {
        guard (200..<300).contains(answer.status) else {
            #expect([400, 401, 403, 404].contains(answer.status), "\(answer.status) \(answer.body)")
            return nil
        }
        return try #require(answer[member]?.string, "\(answer.body)")
    }
}

/// The operations of every service whose documented answers have a member that is called like a credential.
enum CredentialOperations {
    private static let methods: Set = ["post", "put", "patch", "delete"]
    /// The password of an OBS is a member of requests only (`writeOnly`).
    private static let others: Set = ["POST /api/obs/connections", "PUT /api/obs/connections/{connection}"]

    static func documented() throws -> Set<String> {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Services")
        var found: Set<String> = []
        for service in try FileManager.default.contentsOfDirectory(atPath: root.path) {
            let file = root.appending(path: service).appending(path: "openapi.yaml")
            guard FileManager.default.fileExists(atPath: file.path) else { continue }
            found.formUnion(try Self.operations(of: String(contentsOf: file, encoding: .utf8)))
        }
        #expect(found.isSuperset(of: Self.others))
        return found.subtracting(Self.others)
    }

    /// Read line by line: paths are indented by two, methods by four, statuses by eight; an alias stands for what it names.
    private static func operations(of text: String) throws -> Set<String> {
        let lines = text.split(separator: "\n").map(String.init)
        var (operations, named): (Set<String>, [String: Set<String>]) = ([], [:])
        var (path, anchor, method, isSuccess) = ("", nil as String?, "", false)
        for line in lines.drop(while: { $0 != "paths:" }).dropFirst() {
            guard line.hasPrefix(" ") else { break }
            if let match = line.wholeMatch(of: /\ {2}(\/\S*):(?: ([&*])(\w+))?/) {
                (path, anchor) = (String(match.1), match.3.map(String.init))
                if match.2 == "*", let alias = anchor {
                    operations.formUnion((named[alias] ?? []).map { "\($0) \(path)" })
                }
            } else if let match = line.wholeMatch(of: /\ {4}(\w+):.*/) {
                (method, isSuccess) = (String(match.1), false)
            } else if let match = line.firstMatch(of: /^\ {8}'(\d+)':/) {
                isSuccess = ["200", "201"].contains(match.1)
            } else if line.firstMatch(of: /^\ {0,8}\S/) != nil {
                isSuccess = false
            }
            guard isSuccess, Self.methods.contains(method), Self.hasCredential(line, lines) else { continue }
            operations.insert("\(method.uppercased()) \(path)")
            if let anchor { named[anchor, default: []].insert(method.uppercased()) }
        }
        return operations
    }

    private static func hasCredential(_ line: String, _ lines: [String], depth: Int = 0) -> Bool {
        if line.contains(/(?:^|[{,\s])(?:\w+_)?(?:token|key|secret|ticket|password|code):/) { return true }
        guard depth < 5, let match = line.firstMatch(of: /#\/components\/(\w+)\/(\w+)/),
            let section = lines.firstIndex(of: "  \(match.1):"),
            let start = lines[section...].firstIndex(where: { $0.hasPrefix("    \(match.2):") })
        else { return false }
        let block = lines[(start + 1)...].prefix { $0.hasPrefix("      ") }
        return ([String(lines[start].drop { $0 != ":" })] + block).contains {
            Self.hasCredential($0, lines, depth: depth + 1)
        }
    }
}
