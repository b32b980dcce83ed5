import Crypto
import Events
import Foundation
import Glibc
import TestSupport
import Testing

/// What auth promises to the others, from outside: each kind of credential, its end, and auth's own absence.
@Suite("Auth", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuthTests {
    /// A made API key: its id and itself.
    private static func makeKey(_ suite: Suite, _ body: JSON, token: String) async throws -> (id: String, key: String) {
        let answer = try await suite.request("POST", .auth, "/v1/auth/keys", body, token: token)
        #expect(answer.status == 201, "\(answer.body)")
        #expect(answer.headers["cache-control"] == "no-store")
        return (try #require(answer["id"]?.string), try #require(answer["key"]?.string))
    }

    /// Client credentials by HTTP Basic.
    private static func clientToken(_ suite: Suite, id: String, secret: String, scope: String? = nil) async throws
        -> HTTPClient.Answer
    {
        let basic = Data("\(id):\(secret)".utf8).base64EncodedString()
        let form = "grant_type=client_credentials" + (scope.map { "&scope=\($0)" } ?? "")
        return try await HTTPClient.request(
            "POST", port: suite.port(.auth), path: "/oauth2/token",
            headers: [("Authorization", "Basic \(basic)"), ("Content-Type", "application/x-www-form-urlencoded")],
            body: Array(form.utf8))
    }

    /// The status with which stream-metrics answers who holds the credential.
    private static func streams(_ suite: Suite, _ token: String) async throws -> Int {
        try await suite.request("GET", .streamMetrics, "/v1/streams", token: token).status
    }

    private static func isWelcome(_ suite: Suite, _ token: String) async throws -> Int {
        do {
            try await suite.connect(0, "/?token=\(token)").drop()
            return 101
        } catch let refusal as WebSocketRefused {
            return refusal.status
        }
    }

    @Test func `each kind of credential opens a service and the gateway, and ends when it is revoked`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let owner = try suite.ownerKey
            let (id, key) = try await Self.makeKey(
                suite, ["name": "panel", "scopes": ["streams:*", "obs:read"], "expires_in_days": 1], token: owner)
            #expect(key.hasPrefix("wave_live_") && key.utf8.count == 74)
            let client = try await suite.request(
                "POST", .auth, "/v1/oauth2/clients", ["name": "robot", "scope": "streams:read obs:read"], token: owner)
            #expect(client.status == 201)
            let clientID = try #require(client["client_id"]?.string)
            let secret = try #require(client["client_secret"]?.string)
            let answer = try await Self.clientToken(suite, id: clientID, secret: secret)
            #expect(answer.status == 200)
            #expect(answer.headers["cache-control"] == "no-store" && answer.headers["pragma"] == "no-cache")
            let body = try #require(JSON(parsing: answer.body))
            #expect(body["token_type"] == "Bearer" && body["expires_in"] == 3600)
            #expect(body["scope"] == "obs:read streams:read")
            let opaque = try #require(body["access_token"]?.string)
            for token in [owner, key, opaque, try await suite.token(), try await suite.token("oauth2")] {
                #expect(try await Self.streams(suite, token) == 200)
                #expect(try await Self.isWelcome(suite, token) == 101)
            }
            let byHeader = try await suite.request("GET", .streamMetrics, "/v1/streams", headers: [("X-API-Key", key)])
            #expect(byHeader.status == 200)

            let narrowed = try await Self.clientToken(suite, id: clientID, secret: secret, scope: "obs:read")
            #expect(JSON(parsing: narrowed.body)?["scope"] == "obs:read")
            let wider = try await Self.clientToken(suite, id: clientID, secret: secret, scope: "streams:write")
            #expect(wider.status == 400 && JSON(parsing: wider.body)?["error"] == "invalid_scope")

            // Shown once: the list knows no more of a key than how it begins.
            let list = try await suite.request("GET", .auth, "/v1/auth/keys", token: owner)
            let listed = list["data"]?.array?.first { $0["id"] == .string(id) }
            #expect(listed?["prefix"] == .string(String(key.prefix(18))))
            #expect(!String(decoding: list.body.bytes, as: UTF8.self).contains(key))

            for path in ["/v1/auth/keys/\(id)", "/v1/oauth2/clients/\(clientID)"] {
                #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 204)
                #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 404)
            }
            for token in [key, opaque] {
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: token).status == 401)
                // Remembered for 30 s, but for the event.
                try await Suite.eventually("the others forget it", within: .seconds(15)) {
                    let (service, gateway) = (
                        try await Self.streams(suite, token), try await Self.isWelcome(suite, token)
                    )
                    return service == 401 && gateway == 401
                }
            }
            #expect(try await Self.clientToken(suite, id: clientID, secret: secret).status == 401)
            let revoked = try await suite.events(.auth, "auth.revoked", room: "", token: owner)
            #expect(revoked.map { $0["id"]?.string } == [id, clientID])

            // What was secret is in no log and in no event.
            for process in ["auth", "stream-metrics", "gateway-0"] {
                let log = suite.log(process)
                for secret in [owner, key, secret, opaque] { #expect(!log.contains(secret), "\(process)") }
            }
        }
    }

    @Test func `what a restricted credential makes is restricted like it`() async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 0) { suite in
            let all = try await suite.token(scope: "*")
            var stations: [String] = []
            for name in ["One", "Two"] {
                let made = try await suite.request(
                    "POST", .radioPlayout, "/api/v1/stations", ["name": .string(name)], token: all)
                stations.append(try #require(made["id"]?.string))
            }
            let limited = try #require(
                try await suite.request(
                    "POST", .auth, "/v1/tokens",
                    ["type": "oauth2", "scope": "keys:write radio:*", "stations": [.string(stations[0])]],
                    token: try suite.ownerKey)["token"]?.string)
            let (_, key) = try await Self.makeKey(suite, ["name": "k", "scopes": ["radio:*"]], token: limited)
            let client = try await suite.request(
                "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "radio:*"], token: limited)
            let issued = try await Self.clientToken(
                suite, id: try #require(client["client_id"]?.string),
                secret: try #require(client["client_secret"]?.string))
            let opaque = try #require(JSON(parsing: issued.body)?["access_token"]?.string)
            for token in [limited, key, opaque] {
                for (station, expected) in zip(stations, [true, false]) {
                    let answer = try await suite.request(
                        "POST", .radioPlayout, "/api/v1/webhooks/track-start",
                        ["station_id": .string(station), "title": "Song"], token: token)
                    #expect((200..<300).contains(answer.status) == expected, "\(answer.status) \(answer.body)")
                }
            }
            // Neither the owner's key nor one for all stations is theirs to see or to revoke.
            let (whole, _) = try await Self.makeKey(suite, ["name": "w", "scopes": ["radio:*"]], token: all)
            let seen = try await suite.request("GET", .auth, "/v1/auth/keys", token: limited)
            #expect(seen["data"]?.array?.map { $0["name"] } == ["k"])
            let names = try await suite.request("GET", .auth, "/v1/auth/keys", token: all)
            #expect(names["data"]?.array?.compactMap { $0["name"]?.string } == ["k", "w"])
            #expect(try await suite.request("DELETE", .auth, "/v1/auth/keys/\(whole)", token: limited).status == 404)
            let owner = try await suite.request("GET", .auth, "/v1/auth/keys", token: try suite.ownerKey)
            let ownerID = try #require(owner["data"]?.array?.first { $0["name"] == "owner" }?["id"]?.string)
            #expect(try await suite.request("DELETE", .auth, "/v1/auth/keys/\(ownerID)", token: all).status == 404)
            #expect(try await suite.request("DELETE", .auth, "/v1/auth/keys/\(whole)", token: all).status == 204)
        }
    }

    @Test func `an access token verifies with the public keys, by anybody's arithmetic`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let token = try await suite.token(scope: "radio:read", seconds: 60)
            let parts = token.split(separator: ".").map(String.init)
            let header = try #require(Self.base64URL(parts[0]).flatMap { JSON(parsing: Array($0)) })
            #expect(header["alg"] == "ES256" && header["typ"] == "at+jwt")
            let jwks = try await suite.request("GET", .auth, "/.well-known/jwks.json")
            let keys = try #require(jwks["keys"]?.array)
            let key = try #require(keys.first { $0["kid"] == header["kid"] })
            #expect(Set(try #require(key.object).keys) == ["alg", "crv", "kid", "kty", "use", "x", "y"])
            let x = try #require(key["x"]?.string.flatMap(Self.base64URL))
            let y = try #require(key["y"]?.string.flatMap(Self.base64URL))
            let publicKey = try P256.Signing.PublicKey(rawRepresentation: x + y)
            let signature = try P256.Signing.ECDSASignature(rawRepresentation: try #require(Self.base64URL(parts[2])))
            #expect(publicKey.isValidSignature(signature, for: Data("\(parts[0]).\(parts[1])".utf8)))
            let claims = try #require(Self.base64URL(parts[1]).flatMap { JSON(parsing: Array($0)) })
            #expect(claims["tenant"] == "default" && claims["scope"] == "radio:read")
            #expect(claims["aud"] == ["crosspoint"] || claims["aud"] == "crosspoint")
            let (issued, expires) = (try #require(claims["iat"]?.double), try #require(claims["exp"]?.double))
            #expect((60...62).contains(expires - issued))
        }
    }

    static func base64URL(_ text: String) -> Data? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4))
    }

    @Test func `with auth gone access tokens still work, keys are put off, and all returns by itself`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let jwt = try await suite.token()
            let key = try await suite.token("apikey")
            try await suite.kill9(.auth)
            #expect(try await Self.streams(suite, jwt) == 200)
            #expect(try await Self.isWelcome(suite, jwt) == 101)
            let refused = try await suite.request("GET", .streamMetrics, "/v1/streams", token: key)
            #expect(refused.status == 503 && refused.headers["retry-after"] != nil)
            #expect(refused.body["error"]?["code"] == "SERVICE_UNAVAILABLE")
            let atTheDoor = await #expect(throws: WebSocketRefused.self) {
                try await suite.connect(0, "/?token=\(key)")
            }
            #expect(atTheDoor?.status == 503)
            let astro = try await suite.connect(1, "/")
            _ = try await astro.next()
            let subscribe: JSON = [
                "type": "subscribe",
                "data": ["topic": "channel.activities", "token": .string(key), "token_type": "apikey"],
            ]
            try await astro.send(subscribe)
            let put = try await astro.next()
            #expect(put["error"] != nil && put["error"] != "err_unauthorized", "\(put)")
            try suite.start(.auth)
            try await Suite.eventually("keys work again") {
                let (service, gateway) = (try await Self.streams(suite, key), try await Self.isWelcome(suite, key))
                return service == 200 && gateway == 101
            }
            // The same connection, which was told to try again.
            try await astro.send(subscribe)
            #expect(try await astro.next()["data"]?["room"] == "default")
            // The signing key is the old one.
            try await suite.waitUntilReady(.auth)
            #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: jwt).status == 200)
        }
    }
}
