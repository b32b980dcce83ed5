import Database
import Events
import Foundation
import TestSupport
import Testing

/// Connections by their names: made, read, changed and deleted; and their passwords, which nobody sees.
@Suite("OBS connections by name", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSNamedConnectionTests {
    private static let keys: Set = [
        "name", "id", "host", "port", "path", "tls", "hasPassword", "enabled", "wins", "inputKind", "fallbackKind",
        "refreshPages", "streamId", "state", "connected", "problem", "streamProblem", "obsVersion", "websocketVersion",
        "lastConnected", "currentScene", "createdAt", "updatedAt",
    ]

    @Test func `one is made, read, changed and deleted`() async throws {
        try await OBSStudio.apart { suite, obs in
            let api = OBSClient(suite)
            let body = JSON.object(obs.address).merging(["name": "studio-a"])
            let made = try await api.send("POST", "/connections", body)
            #expect(made.status == 201 && made.body.keys == Self.keys, "\(made)")
            let wanted: [String: JSON] = [
                "name": "studio-a", "host": "127.0.0.1", "port": JSON(obs.port), "path": "/", "tls": false,
                "hasPassword": true, "enabled": true, "wins": "crosspoint", "inputKind": "browser_source",
                "fallbackKind": "color_source", "refreshPages": false, "streamId": nil,
            ]
            for (field, value) in wanted { #expect(made[field] == value, "\(field)") }
            let id = try #require(made["id"]?.string)
            #expect(id.hasPrefix("obs-") && ULID(text: id.dropFirst(4)) != nil)
            #expect(made["createdAt"]?.isTime == true)

            let studio = OBSClient(suite, connection: "studio-a")
            try await studio.waitUntilConnected()
            let version = try await obs.hand().request("GetVersion")
            let read = try await studio.resource
            #expect(read.keys == Self.keys && read["state"] == "connected" && read["connected"] == true)
            #expect(read["obsVersion"] == version["obsVersion"])
            #expect(read["websocketVersion"] == version["obsWebSocketVersion"])
            #expect(read["currentScene"] == "Scene" && read["lastConnected"]?.isTime == true)
            #expect(read["problem"] == .null && read["createdAt"] == made["createdAt"])
            let status = try await studio.succeed("GET", "/status")
            #expect(status["connectionId"]?.string == id && status["connected"] == true)
            // The default one is another.
            #expect(try await api.isConnected == false)
            #expect(try await api.send("GET", "/scenes").status == 503)

            #expect(
                try await api.send(
                    "POST", "/connections", ["name": "studio-b", "host": "x", "port": 1, "enabled": false]
                )
                .status == 201)
            let list = try await api.succeed("GET", "/connections")
            #expect(list.body.keys == ["connections", "total"] && list["total"] == 2)
            #expect(
                Set(list["connections"]?.array?.compactMap { $0["name"]?.string } ?? []) == ["studio-a", "studio-b"])
            #expect(list["connections"]?.array?.allSatisfy { $0.keys == Self.keys } == true)
            #expect(try await api.send("POST", "/connections", body).isError(409, prefix: ""))

            let changed = try await studio.send("PUT", "", ["wins": "obs", "refreshPages": true])
            #expect(changed.status == 200 && changed.body.keys == Self.keys)
            #expect(changed["wins"] == "obs" && changed["refreshPages"] == true && changed["hasPassword"] == true)
            #expect(changed["port"] == JSON(obs.port) && changed["id"]?.string == id)

            let deleted = try await studio.send("DELETE", "")
            #expect(deleted.outcome == ["deletedConnection": ["id": .string(id), "name": "studio-a"]])
            #expect(try await studio.send("GET", "").status == 404)
            #expect(try await api.send("GET", "/connections")["total"] == 1)
        }
    }

    @Test func `a change of address or password reconnects, and it is switched off and on`() async throws {
        try await OBSStudio.apart { suite, obs in
            let studio = try await OBSClient.create(suite, "studio-a", obs)
            let dead = try await studio.send("PUT", "", ["port": 1, "password": .string(obs.password)])
            #expect(dead.status == 200)
            try await studio.waitUntilConnected(false, within: .seconds(5))
            try await studio.succeed("PUT", "", .object(obs.address))
            try await studio.waitUntilConnected()

            try await studio.succeed("PUT", "", ["password": nil])
            try await Suite.eventually("it is stopped") { try await studio.resource["state"] == "stopped" }
            #expect(try await studio.resource["hasPassword"] == false)
            try await studio.succeed("PUT", "", ["password": .string(obs.password)])
            try await studio.waitUntilConnected()
            #expect(try await studio.resource["hasPassword"] == true)

            try await studio.succeed("PUT", "", ["enabled": false])
            try await Suite.eventually("it is off") { try await studio.resource["state"] == "off" }
            #expect(try await studio.isConnected == false)
            try await studio.succeed("PUT", "", ["enabled": true])
            try await studio.waitUntilConnected()

            #expect(try await studio.send("POST", "/disconnect").outcome == [:])
            #expect(try await studio.resource["state"] == "off")
            let details: JSON = [
                "connectionDetails": ["host": "127.0.0.1", "port": JSON(obs.port), "connected": true]
            ]
            #expect(try await studio.send("POST", "/connect", [:]).outcome == details)
            #expect(try await studio.send("POST", "/reconnect").outcome == details)
            #expect(try await studio.succeed("GET", "/scenes")["currentScene"] == "Scene")
            let switched = try await studio.send("POST", "/connect", ["port": 1, "password": nil])
            #expect(switched.isError(500, prefix: "Failed to connect to OBS: "))
            #expect(try await studio.resource["port"] == 1)
        }
    }

    @Test func `what is not valid is refused and changes nothing`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = OBSClient(suite)
            let right: JSON = ["name": "studio-a", "host": "127.0.0.1", "port": 1, "enabled": false]
            let long = String(repeating: "a", count: 63)
            let (studio, other) = (OBSClient(suite, connection: "studio-a"), OBSClient(suite, connection: long))
            #expect(try await api.send("POST", "/connections", right).status == 201)
            #expect(try await api.send("POST", "/connections", right.merging(["name": .string(long)])).status == 201)
            #expect(try await other.send("DELETE", "").status == 200)
            let before = try await studio.resource
            for name in ["", "-a", "A", "a b", "a/b", "a_b", "ä", "a\u{0}", .string(long + "a"), 5, nil] as [JSON] {
                let answer = try await api.send("POST", "/connections", right.merging(["name": name]))
                #expect(answer.isError(400, prefix: ""), "\(name): \(answer)")
            }
            for (field, value) in [
                ("host", ""), ("host", 5), ("port", 0), ("port", 65536), ("port", "x"), ("port", 1.5),
                ("password", 5), ("path", 5), ("tls", 1), ("enabled", "yes"), ("wins", "both"), ("inputKind", ""),
                ("inputKind", 5), ("fallbackKind", 5), ("refreshPages", 1), ("streamId", 5),
            ] as [(String, JSON)] {
                let body = right.merging(["name": "studio-b", field: value])
                let posted = try await api.send("POST", "/connections", body)
                #expect(posted.isError(400, prefix: ""), "POST \(field) \(value): \(posted)")
                let put = try await studio.send("PUT", "", [field: value])
                #expect(put.isError(400, prefix: ""), "PUT \(field) \(value): \(put)")
            }
            for field in ["name", "host", "port"] {
                let body = JSON.object((right.object ?? [:]).filter { $0.key != field })
                #expect(try await api.send("POST", "/connections", body).isError(400, prefix: ""), "\(field)")
            }
            #expect(try await api.send("POST", "/connections", []).isError(400, prefix: ""))
            #expect(try await api.send("GET", "/connections")["total"] == 1)
            #expect(try await studio.resource == before)
        }
    }

    @Test func `one that is not there is not found, on every path`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let token = try await suite.token(scope: "obs:*")
            let nobody = OBSClient(suite, token: token, connection: "nobody")
            let message = "There is no OBS connection named 'nobody'"
            for (method, tail, body) in [
                ("GET", "", nil), ("PUT", "", ["port": 1]), ("DELETE", "", nil), ("GET", "/status", nil),
                ("POST", "/connect", [:]), ("POST", "/disconnect", nil), ("POST", "/reconnect", nil),
                ("GET", "/scenes", nil), ("GET", "/current-scene", nil), ("GET", "/stats", nil),
                ("POST", "/current-scene", ["sceneName": "Scene"]), ("GET", "/studio-mode", nil),
                ("GET", "/stream", nil), ("POST", "/stream/start", nil), ("GET", "/record", nil),
                ("POST", "/record/stop", nil), ("GET", "/screenshot", nil), ("GET", "/scenes/Scene/sources", nil),
                ("POST", "/scenes/Scene/sources/bulk", ["sources": [["sourceId": "x"]]]),
            ] as [(String, String, JSON?)] {
                let answer = try await nobody.send(method, tail, body)
                #expect(answer.isError(404, prefix: message), "\(method) \(tail): \(answer)")
            }
        }
    }

    @Test func `tenants have connections of their own`() async throws {
        try await OBSStudio.with { studio in
            let token = try await studio.suite.token(tenant: "other", scope: "*")
            let theirs = OBSClient(studio.suite, token: token)
            #expect(try await theirs.send("GET", "/status")["connected"] == false)
            #expect(try await theirs.send("GET", "/scenes").status == 503)
            #expect(try await theirs.send("GET", "/connections").body == ["connections": [], "total": 0])
            #expect(try await theirs.send("GET", "/connections/default").status == 404)
            #expect(try await theirs.send("DELETE", "/connections/default").status == 404)
            #expect(try await theirs.send("PUT", "/connections/default", ["port": 1]).status == 404)
            let commands = try await theirs.send("GET", "/audit")["entries"]?.array ?? []
            #expect(commands.compactMap { $0["command"]?.string } == ["connection.update", "connection.delete"])
            #expect(try await theirs.send("POST", "/reconnect").status == 500)
            #expect(try await theirs.log("obs.connectionChanged") == [])
            let id = try await studio.sources.create("Donations")
            try await theirs.connect(studio.obs)
            // A source of one tenant is none of the other's.
            #expect(try await theirs.send("POST", scene: "Scene", "/\(id)").isError(404, prefix: "Source not found"))
            #expect(try await theirs.send("POST", "/disconnect").status == 200)
            #expect(try await studio.api.isConnected)
        }
    }

    @Test func `a password is shown nowhere and not kept in the clear, but kept`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .obsBridge], gateways: 0, databaseURL: url) { suite in
                try await OBSFixture.with { obs in
                    let api = OBSClient(suite)
                    try await api.connect(obs)
                    let secret = "do not \(ULID().text) tell"
                    let studio = OBSClient(suite, connection: "studio-a")
                    var answers = [
                        try await api.send(
                            "POST", "/connections",
                            [
                                "name": "studio-a", "host": "127.0.0.1", "port": JSON(obs.port),
                                "password": .string(secret),
                            ]),
                        try await studio.send("PUT", "", ["password": .string(secret), "wins": "obs"]),
                        try await studio.send("POST", "/connect", ["password": .string(secret)]),
                        try await studio.send("PUT", "", ["password": .string(secret), "port": "x"]),
                    ]
                    try await Suite.eventually("it is stopped") { try await studio.resource["state"] == "stopped" }
                    for tail in ["/connections", "/connections/studio-a", "/connections/default", "/audit"] {
                        answers.append(try await api.send("GET", tail))
                    }
                    answers.append(try await suite.request("GET", .obsBridge, "/v1/events?limit=1000"))
                    #expect(try await studio.resource["hasPassword"] == true)
                    let forms = Self.forms(secret) + Self.forms(obs.password)
                    for answer in answers {
                        let text = "\(answer.headers) " + String(decoding: answer.body.bytes, as: UTF8.self)
                        #expect(!forms.contains { text.contains($0) }, "\(text)")
                        #expect(!text.contains("\"password\":"))
                    }
                    let log = suite.log("obs-bridge")
                    #expect(!forms.contains { log.contains($0) })
                    let stored = try await Self.everything(url)
                    #expect(stored.contains("studio-a"))
                    #expect(!forms.contains { stored.contains($0) })

                    try await suite.kill9(.obsBridge)
                    try suite.start(.obsBridge)
                    try await suite.waitUntilReady(.obsBridge)
                    try await api.waitUntilConnected()
                }
            }
        }
    }

    /// As text, and as the simplest disguises of it.
    private static func forms(_ secret: String) -> [String] {
        let bytes = Data(secret.utf8)
        return [secret, bytes.base64EncodedString(), bytes.map { String(format: "%02x", $0) }.joined()]
    }

    /// All rows of all tables of the bridge.
    private static func everything(_ url: String) async throws -> String {
        let tables = try await Suite.query(
            url, schema: "obs_bridge",
            "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'obs_bridge'")
        var text = ""
        for table in tables {
            let name = try table.decode("name", as: String.self)
            let rows = try await Suite.query(
                url, schema: "obs_bridge",
                "SELECT entry::text AS line FROM obs_bridge.\(unescaped: "\"\(name)\"") AS entry")
            for row in rows { text += try row.decode("line", as: String.self) + "\n" }
        }
        return text
    }
}
