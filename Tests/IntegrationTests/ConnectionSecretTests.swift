import Crypto
import Database
import Events
import Foundation
import TestSupport
import Testing

/// Where the password of an OBS connection goes, and what the audit log keeps of what is sent for one.
@Suite("OBS connection secrets", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ConnectionSecretTests {
    private static let password = "s3cret of the studio"

    private static func with(
        _ services: [ServiceName] = [.auth, .obsBridge], url: String? = nil, environment: [String: String] = [:],
        _ body: (Suite, _ studio: FakeOBS, _ stranger: FakeOBS) async throws -> Void
    ) async throws {
        try await FakeOBS.with(password: Self.password) { studio in
            // It would like to have a proof.
            try await FakeOBS.with(password: "another") { stranger in
                try await Suite.with(services, gateways: 0, databaseURL: url, environment: environment) { suite in
                    try await body(suite, studio, stranger)
                }
            }
        }
    }

    private static func address(_ obs: FakeOBS, _ more: [String: JSON] = [:]) -> JSON {
        .object(["host": "127.0.0.1", "port": JSON(obs.port)].merging(more) { $1 })
    }

    @Test func `a password stays with its address, and unknown members stay nowhere`() async throws {
        try await Self.with { suite, studio, stranger in
            let api = OBSClient(suite)
            try await api.succeed("POST", "/connect", Self.address(studio, ["password": .string(Self.password)]))
            #expect(studio.proofs(of: Self.password) == 1)
            let resource = try await api.resource
            let toStranger: JSON = ["port": JSON(stranger.port)]
            for (method, tail, body) in [
                ("PUT", "/connections/default", Self.address(stranger)),
                ("PUT", "/connections/default", toStranger),
                // Another name of the same machine.
                ("PUT", "/connections/default", ["host": "localhost"]),
                ("PUT", "/connections/default", ["path": "/other"]), ("PUT", "/connections/default", ["tls": true]),
                ("POST", "/connect", Self.address(stranger)), ("POST", "/connections/default/connect", toStranger),
                ("PUT", "/connections/default", resource.merging(toStranger).merging(["wins": "obs"])),
            ] as [(String, String, JSON)] {
                let answer = try await api.send(method, tail, body)
                #expect(answer.isError(400, prefix: "password is needed again"), "\(method) \(tail) \(body): \(answer)")
                #expect(!String(decoding: answer.body.bytes, as: UTF8.self).contains(Self.password))
            }
            #expect(try await api.resource == resource)
            #expect(try await api.isConnected)

            // Without it, and back with it.
            try await api.succeed("PUT", "/connections/default", Self.address(stranger, ["password": nil]))
            try await Suite.eventually("the stranger has refused") { try await api.resource["state"] == "stopped" }
            #expect(try await api.resource["hasPassword"] == false && stranger.connectionsMade > 0)
            try await api.succeed("POST", "/connect", Self.address(studio, ["password": .string(Self.password)]))
            #expect(stranger.proofs(of: Self.password) == 0)

            // What a client misspells is refused, or, on the contract's own path, ignored; no log has it.
            let wrong: JSON = ["Password": "hunter2-in-clear", "secret": ["hunter2-in-clear"]]
            for (method, tail, body) in [
                ("POST", "/connections", Self.address(studio, ["name": "b"]).merging(wrong)),
                ("PUT", "/connections/default", wrong.merging(["wins": "obs"])),
                ("POST", "/connections/default/connect", wrong),
                ("POST", "/studio-mode", wrong.merging(["enabled": true])),
                ("POST", "/preview-scene", wrong.merging(["sceneName": "Scene"])), ("POST", "/transition", wrong),
                ("POST", "/inputs/Mic/mute", wrong.merging(["muted": true])),
            ] as [(String, String, JSON)] {
                let answer = try await api.send(method, tail, body)
                #expect(answer.isError(400, prefix: "Password is not known here"), "\(method) \(tail): \(answer)")
            }
            try await api.succeed("POST", "/connect", Self.address(studio).merging(wrong))
            try await api.succeed("POST", "/current-scene", wrong.merging(["sceneName": "Scene"]))
            let token = try await suite.token(scope: "obs:connect")
            let audit = try await OBSClient(suite, token: token).succeed("GET", "/audit?limit=1000")
            let text = String(decoding: audit.body.bytes, as: UTF8.self)
            #expect(!text.contains("hunter2") && !text.contains(Self.password) && text.contains("connection.connect"))
        }
    }

    @Test func `a password that was sealed for the connection alone is sealed for its address at the next start`()
        async throws
    {
        try await PostgresFixture.withDatabase { url in
            let key = SymmetricKey(size: .bits256)
            let file = FileManager.default.temporaryDirectory.appending(path: "obs-\(UUID().uuidString).key")
            defer { try? FileManager.default.removeItem(at: file) }
            let digits = key.withUnsafeBytes { $0.map { String(format: "%02x", $0) }.joined() }
            try digits.write(to: file, atomically: true, encoding: .utf8)
            let environment = ["OBS_BRIDGE_SECRETS_KEY_FILE": file.path]
            try await Self.with(url: url, environment: environment) { suite, studio, _ in
                let api = OBSClient(suite)
                try await api.succeed("POST", "/connect", Self.address(studio, ["password": .string(Self.password)]))
                let id = try #require(try await api.resource["id"]?.string)
                try await suite.end("obs-bridge", SIGTERM)
                let box = try AES.GCM.seal(
                    Data(Self.password.utf8), using: key, authenticating: Data(id.utf8))
                let old = try #require(box.combined).base64EncodedString()
                try await Suite.query(url, schema: "obs_bridge", "UPDATE connections SET password = \(old)")
                for _ in 0..<2 {
                    try suite.start(.obsBridge)
                    try await suite.waitUntilReady(.obsBridge)
                    try await api.waitUntilConnected()
                    let rows = try await Suite.query(url, schema: "obs_bridge", "SELECT password FROM connections")
                    #expect(try rows.first?.decode("password", as: String.self).hasPrefix("v2.") == true)
                    try await suite.end("obs-bridge", SIGTERM)
                }
                // Whoever can write the table cannot send it elsewhere either.
                try await Suite.query(url, schema: "obs_bridge", "UPDATE connections SET host = 'localhost'")
                let proofs = studio.proofs(of: Self.password)
                try suite.start(.obsBridge)
                try await suite.waitUntilReady(.obsBridge)
                try await Suite.eventually("it is stopped") { try await api.resource["state"] == "stopped" }
                #expect(try await api.resource["problem"]?.string?.contains("another address") == true)
                #expect(studio.proofs(of: Self.password) == proofs)
            }
        }
    }

    @Test func `a stream that is bound to an OBS is held to the plan of whoever bound it`() async throws {
        try await Self.with([.auth, .obsBridge, .streamMetrics]) { suite, studio, _ in
            let streams = try await StreamsClient(suite, tier: "free")
            let api = OBSClient(suite, token: streams.token)
            var ids: [String] = []
            for _ in 0..<11 { ids.append(try await streams.create()) }
            for id in ids.prefix(10) { try await streams.succeed("POST", "/\(id)/start") }
            let last = ids[10]
            studio.answer(
                "GetStreamStatus",
                with: ["outputActive": true, "outputDuration": 1000, "outputBytes": 1, "outputTotalFrames": 1])
            let settings: [String: JSON] = ["password": .string(Self.password), "streamId": .string(last)]
            try await api.succeed("POST", "/connect", Self.address(studio, settings))
            let resource = try await suite.eventual("the refusal is shown") {
                let resource = try await api.resource
                return resource["streamProblem"] == .null ? JSON?.none : resource
            }
            #expect(resource["streamProblem"] == "The plan allows 10 live streams at once")
            #expect(resource["connected"] == true && resource["streamId"] == .string(last))

            // What happens at an OBS happens to its stream, so neither is for somebody who may not write the stream.
            let connector = try await suite.token(tenant: streams.tenant, scope: "obs:connect")
            let elsewhere: JSON = ["host": "127.0.0.2", "password": nil]
            let path = "/api/obs/connections/default"
            #expect(
                try await suite.request("PUT", .obsBridge, path, elsewhere, token: connector).status == 403)
            for token in [connector, nil] {
                let bound: JSON = ["streamId": .string(ids[0])]
                #expect(try await suite.request("PUT", .obsBridge, path, bound, token: token).status == 403)
            }
            #expect(
                try await suite.request("PUT", .obsBridge, path, ["wins": "obs"], token: connector).status == 200)
            #expect(try await streams.succeed("GET", "/\(last)")["status"] == "idle")
            #expect(suite.log("obs-bridge").contains("The stream of an OBS is not live"))
            // As soon as there is room it begins.
            try await streams.succeed("POST", "/\(ids[0])/stop")
            try await Suite.eventually("nothing is wrong any more", within: .seconds(15)) {
                try await api.resource["streamProblem"] == .null
            }
            #expect(try await streams.succeed("GET", "/\(last)")["status"] == "live")
        }
    }
}

extension Suite {
    /// Waits until there is a value.
    fileprivate func eventual<Value>(_ what: String, _ value: () async throws -> Value?) async throws -> Value {
        var found: Value?
        try await Self.eventually(what) {
            found = try await value()
            return found != nil
        }
        return try #require(found)
    }
}
