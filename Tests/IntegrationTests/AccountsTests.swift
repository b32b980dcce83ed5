import Events
import Foundation
import TestSupport
import Testing

/// Users and channels over REST: who may see and change whom, and what ends when something is taken away.
@Suite("Accounts", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AccountsTests {
    static let password = "a long enough secret"

    static func role(_ channel: String, _ role: String, station: String? = nil) -> JSON {
        var object: [String: JSON] = ["channel": .string(channel), "role": .string(role)]
        if let station { object["station"] = .string(station) }
        return .object(object)
    }

    /// Makes a user as the owner, and returns their id.
    static func make(_ suite: Suite, _ email: String, _ roles: [JSON]) async throws -> String {
        let answer = try await suite.request(
            "POST", .auth, "/v1/auth/users",
            ["email": .string(email), "password": .string(Self.password), "roles": .array(roles)],
            token: try suite.ownerKey)
        try #require(answer.status == 201, "\(answer.body)")
        return try #require(answer["id"]?.string)
    }

    static func channel(_ suite: Suite, _ id: String) async throws {
        let answer = try await suite.request(
            "POST", .auth, "/v1/auth/channels", ["id": .string(id)], token: try suite.ownerKey)
        try #require(answer.status == 201, "\(answer.body)")
    }

    /// A sign-in's access token and refresh token.
    static func signIn(
        _ suite: Suite, _ email: String, password: String = Self.password, station: String? = nil
    ) async throws -> (access: String, refresh: String) {
        let answer = try await LoginTests.logIn(suite, email, password, station: station)
        try #require(answer.status == 200, "\(answer.body)")
        return (try #require(answer["access_token"]?.string), try #require(answer["refresh_token"]?.string))
    }

    static func status(_ suite: Suite, _ method: String, _ path: String, _ body: JSON? = nil, _ token: String)
        async throws -> Int
    {
        try await suite.request(method, .auth, path, body, token: token).status
    }

    @Test func `a user is made, shown, changed and deleted`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/users",
                ["email": "Dj@Example.org", "password": .string(Self.password), "roles": [Self.role("default", "dj")]],
                token: owner)
            #expect(made.status == 201, "\(made.body)")
            #expect(made["email"] == "Dj@Example.org" && made["name"] == "Dj" && made["owner"] == false)
            #expect(made["disabled"] == false && made["last_login_at"] == nil)
            #expect(made["roles"] == [["channel": "default", "role": "dj"]])
            let id = try #require(made["id"]?.string)
            let shown = try await suite.request("GET", .auth, "/v1/auth/users/\(id)", token: owner)
            #expect(shown.body == made.body)
            #expect(!String(decoding: shown.body.bytes, as: UTF8.self).contains("scrypt"))

            let again = try await suite.request(
                "POST", .auth, "/v1/auth/users", ["email": "dj@example.ORG"], token: owner)
            #expect(again.status == 409 && again["error"]?["code"] == "CONFLICT")
            let changed = try await suite.request(
                "PATCH", .auth, "/v1/auth/users/\(id)", ["name": "Zoë", "email": "zoe@example.org"], token: owner)
            #expect(changed.status == 200 && changed["name"] == "Zoë" && changed["email"] == "zoe@example.org")
            let taken = try await suite.request(
                "PATCH", .auth, "/v1/auth/users/\(id)", ["email": "OWNER@localhost"], token: owner)
            #expect(taken.status == 409, "\(taken.body)")

            let (access, _) = try await Self.signIn(suite, "zoe@example.org")
            let me = try await suite.request("GET", .auth, "/v1/auth/me", token: access)
            #expect(me["user"]?["email"] == "zoe@example.org" && me["subject"] == .string(id))
            #expect(me["roles"] == ["dj"] && me["tenant"] == "default" && me["stations"] == nil)
            #expect(me["user"]?["last_login_at"]?.string != nil)
            #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: owner)["user"] == nil)
            #expect(try await suite.request("GET", .auth, "/v1/auth/me").status == 401)

            var seen: [String] = []
            var cursor = ""
            for _ in 0..<2 {
                let page = try await suite.request("GET", .auth, "/v1/auth/users?limit=1\(cursor)", token: owner)
                seen += try #require(page["data"]?.array).compactMap { $0["email"]?.string }
                cursor = page["pagination"]?["next_cursor"]?.string.map { "&cursor=\($0)" } ?? ""
            }
            #expect(Set(seen) == ["Owner@localhost", "zoe@example.org"] && cursor.isEmpty)

            #expect(try await Self.status(suite, "DELETE", "/v1/auth/users/\(id)", nil, owner) == 204)
            #expect(try await Self.status(suite, "DELETE", "/v1/auth/users/\(id)", nil, owner) == 404)
            #expect(try await Self.status(suite, "GET", "/v1/auth/me", nil, access) == 401)
            #expect(try await LoginTests.logIn(suite, "zoe@example.org", Self.password).status == 401)
        }
    }

    @Test func `roles say what a sign-in may do, in the tenant or at a station`() async throws {
        try await LoginTests.with { suite in
            try await Self.channel(suite, "north")
            _ = try await Self.make(
                suite, "a@x", [Self.role("north", "dj", station: "s1"), Self.role("north", "manager", station: "s2")])
            let both = try LoginTests.claims(try await Self.signIn(suite, "a@x").access)
            #expect(both["tenant"] == "north" && both["stations"] == ["s1", "s2"] && both["roles"] == ["dj"])
            #expect(both["scope"]?.string?.contains("radio:write") == false)
            let one = try LoginTests.claims(try await Self.signIn(suite, "a@x", station: "s2").access)
            #expect(one["stations"] == ["s2"] && one["station_id"] == "s2" && one["roles"] == ["manager"])
            #expect(one["scope"]?.string?.contains("radio:write") == true)
            for station in ["s3", "s 1", "'; DROP TABLE users; --"] {
                let denied = try await LoginTests.logIn(suite, "a@x", Self.password, station: station)
                #expect(denied.status == 403 && denied.body == ["error": "station_access_denied"])
            }
            _ = try await Self.make(suite, "nobody@x", [])
            let nothing = try await LoginTests.logIn(suite, "nobody@x", Self.password)
            #expect(nothing.status == 403 && nothing.body == ["error": "station_access_denied"])
        }
    }

    @Test func `a tenant's administrator sees and changes their own, and gives no more than they have`() async throws {
        try await LoginTests.with { suite in
            for channel in ["north", "south"] { try await Self.channel(suite, channel) }
            _ = try await Self.make(suite, "admin@north", [Self.role("north", "admin")])
            let ours = try await Self.make(suite, "dj@north", [Self.role("north", "dj")])
            let both = try await Self.make(suite, "dj@both", [Self.role("north", "dj"), Self.role("south", "admin")])
            let theirs = try await Self.make(suite, "dj@south", [Self.role("south", "dj")])
            let everyone = try await suite.request("GET", .auth, "/v1/auth/users", token: try suite.ownerKey)
            let owner = try #require(
                everyone["data"]?.array?.first { $0["owner"] == true }?["id"]?.string)
            _ = try await suite.request(
                "PUT", .auth, "/v1/auth/users/\(owner)/roles", ["roles": [Self.role("north", "dj")]],
                token: try suite.ownerKey)
            let admin = try await Self.signIn(suite, "admin@north").access

            let list = try await suite.request("GET", .auth, "/v1/auth/users", token: admin)
            #expect(
                list["data"]?.array?.compactMap { $0["email"]?.string }.sorted() == [
                    "admin@north", "dj@both", "dj@north",
                ])
            let shared = try await suite.request("GET", .auth, "/v1/auth/users/\(both)", token: admin)
            #expect(shared["roles"] == [["channel": "north", "role": "dj"]])
            for hidden in [theirs, owner] {
                let path = "/v1/auth/users/\(hidden)"
                for (method, path, body) in [
                    ("GET", path, nil), ("PATCH", path, ["name": "x"]), ("DELETE", path, nil),
                    ("PUT", "\(path)/password", ["password": .string("another long secret")]),
                    ("PUT", "\(path)/roles", ["roles": []]), ("POST", "\(path)/revoke", nil),
                ] as [(String, String, JSON?)] {
                    #expect(try await Self.status(suite, method, path, body, admin) == 404, "\(method) \(path)")
                }
            }
            // Somebody who is also elsewhere is not theirs to change, but for the roles here.
            for (method, path, body) in [
                ("PATCH", "", ["disabled": true]), ("DELETE", "", nil), ("POST", "/revoke", nil),
                ("PUT", "/password", ["password": .string("another long secret")]),
            ] as [(String, String, JSON?)] {
                #expect(try await Self.status(suite, method, "/v1/auth/users/\(both)\(path)", body, admin) == 403)
            }
            let roles = try await suite.request(
                "PUT", .auth, "/v1/auth/users/\(both)/roles", ["roles": [Self.role("north", "viewer")]], token: admin)
            #expect(roles.status == 200 && roles["roles"] == [["channel": "north", "role": "viewer"]])
            let whole = try await suite.request("GET", .auth, "/v1/auth/users/\(both)", token: try suite.ownerKey)
            #expect(whole["roles"]?.array?.count == 2)

            for body in [
                ["email": "n@x", "roles": [Self.role("south", "dj")]], ["email": "n@x", "owner": true],
                ["email": "n@x", "owner": true, "roles": [Self.role("north", "dj")]],
            ] as [JSON] {
                #expect(try await Self.status(suite, "POST", "/v1/auth/users", body, admin) != 201, "\(body)")
            }
            #expect(try await Self.status(suite, "PATCH", "/v1/auth/users/\(ours)", ["owner": true], admin) == 403)
            #expect(
                try await Self.status(
                    suite, "POST", "/v1/auth/users", ["email": "n@x", "roles": [Self.role("north", "manager")]], admin)
                    == 201)

            // Someone with users:write and little else cannot become an administrator.
            let clerk = try #require(
                try await suite.request(
                    "POST", .auth, "/v1/tokens",
                    ["type": "jwt", "tenant": "north", "scope": "users:read users:write radio:read"],
                    token: try suite.ownerKey)["token"]?.string)
            let adminID = try #require(
                list["data"]?.array?.first { $0["email"] == "admin@north" }?["id"]?.string)
            #expect(
                try await Self.status(
                    suite, "PUT", "/v1/auth/users/\(adminID)/password", ["password": "another long secret"], clerk)
                    == 403)
            for role in ["viewer", "admin", "owner"] {
                #expect(
                    try await Self.status(
                        suite, "PUT", "/v1/auth/users/\(ours)/roles", ["roles": [Self.role("north", role)]], clerk)
                        == 403)
            }
            // A dj has no business here at all.
            let dj = try await Self.signIn(suite, "dj@north").access
            #expect(try await Self.status(suite, "GET", "/v1/auth/users", nil, dj) == 403)
            #expect(try await Self.status(suite, "GET", "/v1/auth/users/\(ours)", nil, dj) == 403)
        }
    }

    @Test func `who is limited to stations sees and changes only who is there`() async throws {
        try await LoginTests.with { suite in
            try await Self.channel(suite, "north")
            let here = try await Self.make(suite, "here@x", [Self.role("north", "dj", station: "s1")])
            let there = try await Self.make(suite, "there@x", [Self.role("north", "dj", station: "s2")])
            let wide = try await Self.make(suite, "wide@x", [Self.role("north", "dj")])
            _ = try await Self.make(suite, "chief@x", [Self.role("north", "admin", station: "s1")])
            let chief = try await Self.signIn(suite, "chief@x").access
            let list = try await suite.request("GET", .auth, "/v1/auth/users", token: chief)
            #expect(list["data"]?.array?.compactMap { $0["email"]?.string }.sorted() == ["chief@x", "here@x"])
            for id in [there, wide] {
                #expect(try await Self.status(suite, "GET", "/v1/auth/users/\(id)", nil, chief) == 404)
            }
            let path = "/v1/auth/users/\(here)/roles"
            for role in [Self.role("north", "dj"), Self.role("north", "dj", station: "s2")] {
                #expect(try await Self.status(suite, "PUT", path, ["roles": [role]], chief) == 403)
            }
            let raised: JSON = ["roles": [Self.role("north", "manager", station: "s1")]]
            #expect(try await Self.status(suite, "PUT", path, raised, chief) == 200)
            #expect(try await Self.status(suite, "PATCH", "/v1/auth/channels/north", ["name": "N"], chief) == 403)
            #expect(try await Self.status(suite, "GET", "/v1/auth/audit", nil, chief) == 403)
        }
    }

    @Test func `what is taken away ends what was held`() async throws {
        try await LoginTests.with([.auth, .streamMetrics]) { suite in
            let owner = try suite.ownerKey
            let id = try await Self.make(suite, "a@x", [Self.role("default", "admin")])
            func opens(_ token: String) async throws -> Bool {
                try await suite.request("GET", .streamMetrics, "/v1/streams", token: token).status == 200
            }
            func ends(_ tokens: [String], _ what: Comment) async throws {
                for token in tokens {
                    #expect(try await Self.status(suite, "GET", "/v1/auth/me", nil, token) == 401, what)
                    try await Suite.eventually("the others forget it", within: .seconds(15)) {
                        try await !opens(token)
                    }
                }
            }
            func makeKey(_ token: String, _ scopes: JSON) async throws -> String {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": scopes], token: token)
                return try #require(answer["key"]?.string)
            }
            func makeLimitedKey(_ token: String, _ scope: JSON) async throws -> String {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": [scope], "obs_connections": ["studio"]],
                    token: token)
                return try #require(answer["key"]?.string, "\(answer.body)")
            }
            // More takes nothing away; less does, and the keys that could do more go too.
            var (access, refresh) = try await Self.signIn(suite, "a@x")
            let (strong, weak) = (try await makeKey(access, ["*"]), try await makeKey(access, ["streams:read"]))
            let (strongLimited, weakLimited) = (
                try await makeLimitedKey(access, "*"), try await makeLimitedKey(access, "obs:read")
            )
            #expect(try await opens(access))
            let path = "/v1/auth/users/\(id)"
            let roles: (String) -> JSON = { ["roles": [Self.role("default", $0)]] }
            #expect(try await Self.status(suite, "PUT", "\(path)/roles", roles("owner"), owner) == 200)
            #expect(try await opens(access))
            #expect(try await Self.status(suite, "PUT", "\(path)/roles", roles("manager"), owner) == 200)
            try await ends([access, strong], "roles")
            for (key, status) in [(strongLimited, 401), (weakLimited, 200)] {
                #expect(try await Self.status(suite, "GET", "/v1/auth/me", nil, key) == status)
            }
            #expect(try await LoginTests.refresh(suite, refresh).status == 401)
            #expect(try await opens(weak))

            // One's own password: with the one before.
            (access, refresh) = try await Self.signIn(suite, "a@x")
            let new = "quite another secret"
            for (body, status) in [
                (["password": .string(new)], 400), (["password": .string(new), "current_password": "wrong"], 403),
                (["password": "short", "current_password": .string(Self.password)], 400),
                (["password": .string(new), "current_password": .string(Self.password)], 204),
            ] as [(JSON, Int)] {
                #expect(try await Self.status(suite, "PUT", "\(path)/password", body, access) == status, "\(body)")
            }
            try await ends([access], "password")
            #expect(try await LoginTests.logIn(suite, "a@x", Self.password).status == 401)
            #expect(try await opens(weak))

            // Signed out everywhere, by oneself.
            (access, refresh) = try await Self.signIn(suite, "a@x", password: new)
            #expect(try await Self.status(suite, "POST", "\(path)/revoke", nil, access) == 204)
            try await ends([access], "revoke")
            #expect(try await LoginTests.refresh(suite, refresh).status == 401)

            // Disabled: everything, and no way back in until enabled again.
            (access, refresh) = try await Self.signIn(suite, "a@x", password: new)
            #expect(try await Self.status(suite, "PATCH", path, ["disabled": true], owner) == 200)
            try await ends([access, weak], "disabled")
            let disabled = try await LoginTests.logIn(suite, "a@x", new)
            #expect(disabled.status == 401 && disabled.body == ["error": "invalid_credentials"])
            #expect(try await Self.status(suite, "PATCH", path, ["disabled": false], owner) == 200)
            #expect(try await LoginTests.refresh(suite, refresh).status == 401)
            _ = try await Self.signIn(suite, "a@x", password: new)
        }
    }

    @Test func `a sign-in that overlaps with a new password does not outlive it`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let id = try await Self.make(suite, "a@x", [Self.role("default", "dj")])
            var password = Self.password
            for round in 0..<8 {
                let (old, new) = (password, "the secret of round \(round)")
                let tokens = try await withThrowingTaskGroup(of: String?.self) { group in
                    group.addTask {
                        let body: JSON = ["password": .string(new)]
                        let status = try await Self.status(suite, "PUT", "/v1/auth/users/\(id)/password", body, owner)
                        #expect(status == 204)
                        return nil
                    }
                    for _ in 0..<3 {
                        group.addTask {
                            try await LoginTests.logIn(suite, "a@x", old)["access_token"]?.string
                        }
                    }
                    return try await group.reduce(into: [String]()) { $0 += [$1].compactMap(\.self) }
                }
                for token in tokens {
                    #expect(try await Self.status(suite, "GET", "/v1/auth/me", nil, token) == 401)
                }
                password = new
                // Forgives what failed.
                try await Suite.eventually("the new password is right") {
                    try await LoginTests.logIn(suite, "a@x", new).status == 200
                }
            }
        }
    }

    @Test func `the last owner stays one`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let list = try await suite.request("GET", .auth, "/v1/auth/users", token: owner)
            let first = try #require(list["data"]?.array?.first?["id"]?.string)
            let path = "/v1/auth/users/\(first)"
            for (method, body) in [
                ("PATCH", ["disabled": true]), ("PATCH", ["owner": false]), ("DELETE", nil),
            ] as [(String, JSON?)] {
                let answer = try await suite.request(method, .auth, path, body, token: owner)
                #expect(answer.status == 409 && answer["error"]?["code"] == "CONFLICT")
            }
            let second = try await suite.request(
                "POST", .auth, "/v1/auth/users", ["email": "b@x", "owner": true], token: owner)
            #expect(second["owner"] == true)
            #expect(try await Self.status(suite, "PATCH", path, ["owner": false], owner) == 200)
            // One who is disabled is no owner who could help.
            let other = "/v1/auth/users/\(try #require(second["id"]?.string))"
            #expect(try await Self.status(suite, "PATCH", other, ["disabled": true], owner) == 409)
            #expect(try await Self.status(suite, "PATCH", path, ["owner": true], owner) == 200)
            #expect(try await Self.status(suite, "PATCH", other, ["disabled": true], owner) == 200)
            #expect(try await Self.status(suite, "DELETE", path, nil, owner) == 409)
        }
    }

    @Test func `channels are an administrator's to make, and each tenant's own to see`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/channels", ["id": "north", "name": "North FM"], token: owner)
            #expect(made.status == 201 && made["name"] == "North FM")
            #expect(try await Self.status(suite, "POST", "/v1/auth/channels", ["id": "north"], owner) == 409)
            _ = try await Self.make(suite, "admin@north", [Self.role("north", "admin")])
            let admin = try await Self.signIn(suite, "admin@north").access
            let all = try await suite.request("GET", .auth, "/v1/auth/channels", token: owner)
            #expect(all["data"]?.array?.map { $0["id"] } == ["default", "north"])
            let own = try await suite.request("GET", .auth, "/v1/auth/channels", token: admin)
            #expect(own["data"]?.array?.map { $0["id"] } == ["north"])
            #expect(try await Self.status(suite, "GET", "/v1/auth/channels/default", nil, admin) == 404)
            #expect(try await Self.status(suite, "PATCH", "/v1/auth/channels/default", ["name": "x"], admin) == 404)
            #expect(try await Self.status(suite, "POST", "/v1/auth/channels", ["id": "x"], admin) == 403)
            let renamed = try await suite.request(
                "PATCH", .auth, "/v1/auth/channels/north", ["name": "North"], token: admin)
            #expect(renamed.status == 200 && renamed["name"] == "North")
        }
    }
}
