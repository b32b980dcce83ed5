import Events
import Foundation
import TestSupport
import Testing

/// `./crosspoint` itself, with the executables that this test run built: up, status, token, a killed service, HAProxy, down.
@Suite("The one door", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OneDoorTests {
    /// One installation: a home and a block of ports.
    struct Door {
        let home: URL
        let base: Int
        let executables: String

        init() throws {
            self.base = try FreePorts.block()
            // Postgres runs as a user of its own, which must be able to reach it.
            self.home = URL(filePath: "/tmp").appending(path: "xp-\(UUID().uuidString.prefix(8))")
            let built = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path
            self.executables = ProcessInfo.processInfo.environment["CROSSPOINT_BIN_DIR"] ?? built
        }

        /// Runs a verb to its end.
        func run(_ arguments: String...) async throws -> (status: Int32, output: String) {
            let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let (output, ended) = (folder.appending(path: "output"), folder.appending(path: "status"))
            // The suite's processes inherit what Foundation watches to see a process end, so the script itself tells.
            let script =
                "out=$1; end=$2; shift 2; \"$@\" >\"$out\" 2>&1 </dev/null; echo $? >\"$end.new\"; mv \"$end.new\" \"$end\""
            let process = Process()
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments =
                ["-c", script, "sh", output.path, ended.path, root.appending(path: "crosspoint").path] + arguments
            process.environment = ProcessInfo.processInfo.environment.merging([
                "CROSSPOINT_HOME": self.home.path, "CROSSPOINT_PORT_BASE": "\(self.base)",
                "CROSSPOINT_BIN_DIR": self.executables,
            ]) { $1 }
            try process.run()
            try await Suite.eventually("crosspoint \(arguments.joined(separator: " ")) ends", within: .seconds(120)) {
                FileManager.default.fileExists(atPath: ended.path)
            }
            let status = try String(contentsOf: ended, encoding: .utf8).split(whereSeparator: \.isWhitespace).first
            return (status.flatMap { Int32($0) } ?? -1, try String(contentsOf: output, encoding: .utf8))
        }

        func pid(_ name: String) throws -> Int32 {
            let text = try String(contentsOf: self.home.appending(path: "run/\(name).pid"), encoding: .utf8)
            return try #require(text.split(separator: " ").first.flatMap { Int32($0) })
        }

        /// Brings an installation down after the body, however it ends.
        static func with(_ body: (Door) async throws -> Void) async throws {
            try await Turnstile.pass {
                let door = try Door()
                do {
                    try await body(door)
                } catch {
                    // `try?`: the first error is the one to report.
                    try? await door.down()
                    throw error
                }
                try await door.down()
            }
        }

        func down() async throws {
            #expect(try await self.run("down").status == 0)
            try? FileManager.default.removeItem(at: self.home)
            FreePorts.release(self.base)
        }
    }

    @Test func `up, status, token, a service killed and brought back, down`() async throws {
        try await Door.with { door in
            let up = try await door.run("up", "--detach")
            #expect(up.status == 0, "\(up.output)")
            #expect(up.output.contains("Try next"))
            let status = try await door.run("status")
            #expect(status.status == 0, "\(status.output)")

            for type in ["jwt", "oauth2", "apikey"] {
                let token = try await door.run("token", "--type", type, "--scope", "radio:read", "--ttl", "1m")
                #expect(token.status == 0)
                let words = token.output.split(whereSeparator: \.isWhitespace)
                #expect(words.count == 1, "a credential and nothing else: \(token.output)")
                let client = try await WebSocketClient.connect(
                    port: door.base + 3, path: "/api/v1/events?token=\(words.first ?? "")")
                try await client.close()
            }
            #expect(try await door.run("token", "--type", "nonsense").status == 2)

            let killed = try door.pid("camera-events")
            let others = try ["auth", "gateway", "obs-bridge"].map { try door.pid($0) }
            kill(killed, SIGKILL)
            try await Suite.eventually("the supervisor restarts the service", within: .seconds(30)) {
                try await door.run("status").status == 0 && door.pid("camera-events") != killed
            }
            #expect(try await door.run("up", "--detach").status == 0)
            #expect(try ["auth", "gateway", "obs-bridge"].map { try door.pid($0) } == others)

            let modes = try FileManager.default.attributesOfItem(atPath: door.home.appending(path: "owner.key").path)
            #expect(modes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func `with two gateways behind HAProxy, clients of either get the same events`() async throws {
        try await Door.with { door in
            let up = try await door.run("up", "--detach", "--gateways", "2")
            #expect(up.status == 0, "\(up.output)")
            // HAProxy spreads connections; both replicas get some of these.
            var clients: [WebSocketClient] = []
            for _ in 0..<6 {
                let client = try await WebSocketClient.connect(port: door.base, path: "/")
                try await client.send(["action": "subscribe", "events": ["sources:*"]])
                _ = try await client.next { $0["event"] == "subscription:confirmed" }
                clients.append(client)
            }
            let key = door.home.appending(path: "owner.key")
            let owner = try String(contentsOf: key, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            for port in [door.base + 110, door.base + 210] {
                let answer = try await HTTPClient.request(
                    "GET", port: port, path: "/connections", headers: [("Authorization", "Bearer \(owner)")])
                let connections = JSON(parsing: answer.body)?["connections"]?.array ?? []
                #expect(!connections.isEmpty, "no client on the gateway at port \(port)")
            }
            // At the same origin as the WebSocket, as the original has it.
            let created = try await HTTPClient.request(
                "POST", port: door.base, path: "/api/sources", headers: [("Content-Type", "application/json")],
                body: Array(#"{"name":"Alert","url":"https://example.com","width":800,"height":600}"#.utf8))
            #expect(created.status == 201)
            var ids: Set<String> = []
            for client in clients {
                let event = try await client.next { $0["event"] == "sources:create" }
                ids.insert(event["id"]?.string ?? "")
            }
            #expect(ids.count == 1)
        }
    }
}
