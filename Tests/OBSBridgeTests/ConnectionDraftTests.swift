import Crypto
import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import OBSBridge

@Suite struct ConnectionDraftTests {
    private static let seal = PasswordSeal(key: SymmetricKey(data: Array(repeating: 7, count: 32)))
    private static let later = now + .seconds(5)

    private static func connection() -> OBSConnection {
        var connection = OBSConnection(name: "studio", tenant: "default", host: "obs.example", port: 4455, at: now)
        connection.id = "obs-1"
        connection.path = "/old"
        connection.tls = true
        connection.password = "sealed"
        connection.fallbackKind = "color_source"
        connection.stream = "stream_1"
        connection.enabled = false
        connection.wins = .obs
        connection.inputKind = "ffmpeg_source"
        connection.refreshPages = true
        return connection
    }

    private static func applied(_ body: [String: JSON]) throws -> OBSConnection {
        var connection = Self.connection()
        try ConnectionDraft(body).apply(to: &connection, seal: Self.seal, tier: .pro, at: Self.later)
        return connection
    }

    @Test func `what is not named stays`() throws {
        var expected = Self.connection()
        expected.updatedAt = Self.later
        // What the service sets, null for what cannot be none, and what nobody knows, say nothing.
        let body: [String: JSON] = [
            "id": "obs-1", "name": "other", "connected": true, "createdAt": "x", "hasPassword": true, "host": nil,
            "port": nil, "enabled": nil, "wins": nil, "future": [1],
        ]
        #expect(try Self.applied(body) == expected)
        #expect(try ConnectionDraft(body).isEmpty)
    }

    @Test func `every field reaches its place`() throws {
        var expected = OBSConnection(name: "studio", tenant: "default", host: "10.0.0.1", port: 1, at: now)
        expected.id = "obs-1"
        var connection = Self.connection()
        expected.path = "/a?b=c"
        expected.fallbackKind = "image_source"
        expected.stream = "stream_2"
        expected.streamTier = .pro
        expected.updatedAt = Self.later
        let draft = try ConnectionDraft([
            "host": "10.0.0.1", "port": 1, "path": "/a?b=c", "tls": false, "password": "", "enabled": true,
            "wins": "crosspoint", "inputKind": "browser_source", "fallbackKind": "image_source", "refreshPages": false,
            "streamId": "stream_2",
        ])
        try draft.apply(to: &connection, seal: Self.seal, tier: .pro, at: Self.later)
        #expect(connection == expected)
    }

    @Test(arguments: ["password", "fallbackKind", "streamId"])
    func `null takes away what may be none`(name: String) throws {
        #expect(try !ConnectionDraft([name: nil]).isEmpty)
        let connection = try Self.applied([name: nil])
        #expect((connection.password == nil) == (name == "password"))
        #expect((connection.fallbackKind == nil) == (name == "fallbackKind"))
        #expect((connection.stream == nil) == (name == "streamId"))
    }

    @Test(
        arguments: [
            ["host": "evil.example"], ["port": 9920], ["path": "/other"], ["tls": false],
            ["host": "evil.example", "hasPassword": true],
        ] as [[String: JSON]])
    func `a password does not follow its connection to another address`(change: [String: JSON]) throws {
        let failure = #expect(throws: APIFailure.self) { try Self.applied(change) }
        #expect(failure?.status == .badRequest && failure?.details["field"] == "password")
        let renewed = try Self.applied(change.merging(["password": "new"]) { $1 })
        #expect(Self.seal.open(renewed) == "new")
        #expect(try Self.applied(change.merging(["password": nil]) { $1 }).password == nil)
        // The same address again is no change.
        let same: [String: JSON] = ["host": "obs.example", "port": 4455, "path": "/old", "tls": true]
        #expect(try Self.applied(same).password == "sealed")
    }

    @Test func `what the audit log keeps is what was understood, without secrets`() throws {
        let draft = try ConnectionDraft([
            "name": "studio", "host": "a", "path": "/obs?token=x", "password": "secret", "Password": "hunter2",
            "more": ["b"], "connected": true, "streamId": nil,
        ])
        #expect(draft.details == ["name": "studio", "host": "a", "path": "/obs", "streamId": nil])
    }

    @Test func `a member that no connection has is refused by name`() throws {
        #expect(throws: Never.self) {
            try ConnectionDraft(["host": "a", "hasPassword": true, "createdAt": "x"]).requireOnlyKnown()
        }
        let failure = #expect(throws: APIFailure.self) { try ConnectionDraft(["Password": "x"]).requireOnlyKnown() }
        #expect(failure?.status == .badRequest && failure?.details["field"] == "Password")
    }

    @Test(arguments: ["secret", " ", "pässwörd \u{1F600}", String(repeating: "p", count: 1024)])
    func `a password is kept sealed`(password: String) throws {
        let connection = try Self.applied(["password": .string(password)])
        let sealed = try #require(connection.password)
        #expect(!sealed.contains(password))
        #expect(Self.seal.open(connection) == password)
    }

    @Test(
        arguments: [
            ("host", "studio-1.example.org"), ("host", "192.168.1.7"), ("host", "::1"), ("host", "fe80::1"),
            ("host", .string(String(repeating: "h", count: 253))), ("port", 1), ("port", 65_535), ("port", 4455.0),
            ("path", "/"), ("path", "/obs?token=a%20b"), ("tls", true), ("enabled", false), ("wins", "obs"),
            ("inputKind", "text_ft2_source_v2"), ("fallbackKind", "a"), ("refreshPages", true),
            ("streamId", .string(String(repeating: "s", count: 100))),
        ] as [(String, JSON)])
    func `what is valid is taken`(name: String, value: JSON) {
        #expect(throws: Never.self) { try ConnectionDraft([name: value]) }
    }

    @Test(
        arguments: [
            ("host", ""), ("host", " "), ("host", "a b"), ("host", "http://a"), ("host", "a/b"), ("host", "[::1]"),
            ("host", "a\u{0}"), ("host", "a\r\nX: y"), ("host", "h\u{F6}st"), ("host", 1), ("host", "a@b"),
            ("host", .string(String(repeating: "h", count: 254))), ("port", 0), ("port", 65_536), ("port", -1),
            ("port", 4455.5), ("port", "4455"), ("path", ""), ("path", "obs"), ("path", "/a b"), ("path", "/a\r\nb"),
            ("path", "/\u{F6}"), ("path", .string("/" + String(repeating: "p", count: 1024))), ("tls", "true"),
            ("tls", 1), ("enabled", "no"), ("wins", "both"), ("wins", "OBS"), ("inputKind", ""),
            ("inputKind", "Browser"), ("inputKind", "a b"), ("inputKind", .string(String(repeating: "k", count: 65))),
            ("fallbackKind", ""), ("fallbackKind", "a-b"), ("refreshPages", 0), ("streamId", ""),
            ("streamId", .string(String(repeating: "s", count: 101))), ("streamId", 1), ("password", 1),
            ("password", "a\u{0}"), ("password", .string(String(repeating: "p", count: 1025))),
        ] as [(String, JSON)])
    func `what is not valid is refused by name`(name: String, value: JSON) {
        let failure = #expect(throws: APIFailure.self) { try ConnectionDraft([name: value]) }
        #expect(failure?.status == .badRequest)
        #expect(failure?.details["field"] == name)
    }

    @Test(arguments: [
        ("default", true), ("studio-2", true), ("0", true), (String(repeating: "n", count: 63), true), ("", false),
        ("-a", false), ("Studio", false), ("a_b", false), ("a b", false), ("a:b", false), ("*", false),
        ("\u{E4}", false),
        (String(repeating: "n", count: 64), false), ("a\u{0}", false), ("a\n", false),
    ])
    func `a name fits into a scope and an address`(name: String, isName: Bool) throws {
        #expect(ConnectionDraft.isName(name) == isName)
        #expect(((try? ConnectionDraft(["name": .string(name)]).name()) == name) == isName)
    }

    @Test func `a new one needs a name, a host and a port`() throws {
        #expect(#expect(throws: APIFailure.self) { try ConnectionDraft([:]).name() }?.details["field"] == "name")
        for (body, field) in [(["port": 4455], "host"), (["host": "a"], "port")] as [([String: JSON], String)] {
            let failure = #expect(throws: APIFailure.self) { try ConnectionDraft(body).requireAddress() }
            #expect(failure?.details["field"] == field)
        }
        #expect(try ConnectionDraft(["host": "a", "port": 4455]).requireAddress() == ("a", 4455))
    }

    @Test func `a link is made anew only for what it depends on`() {
        let connection = Self.connection()
        func hasLink(_ change: (inout OBSConnection) -> Void) -> Bool {
            var other = connection
            change(&other)
            return connection.hasLink(of: other)
        }
        #expect(hasLink { $0.stream = nil } && hasLink { $0.wins = .crosspoint } && hasLink { $0.inputKind = "a" })
        #expect(!hasLink { $0.host = "b" } && !hasLink { $0.port = 1 } && !hasLink { $0.path = "/b" })
        #expect(!hasLink { $0.tls = false } && !hasLink { $0.password = nil } && !hasLink { $0.enabled = true })
    }
}
