import Events
import Foundation
import TestSupport
import Testing

/// The README's examples as they are printed there: the originals' clients on Node, the commands in a shell. Only ports and
/// placeholders are others.
@Suite("README", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ReadmeTests {
    private static let clients = ["Source Saver", "StreamElements Astro", "WAVE", "Grimnir Radio", "Airys"]

    /// What an older Node needs in front.
    private static func shim(_ readme: Document) -> String { readme.code("js", in: "Clients").joined() }

    @Test func `each client prints the events that the commands cause, on either gateway`() async throws {
        try await Suite.with(gateways: 2) { suite in
            let readme = try Document("README.md")
            let shell = DocumentShell(suite)
            let token = try await suite.token()
            try await shell.run(readme.code("bash", in: "Clients")[0], replacing: ["$(./crosspoint token)": token])
            try await shell.run(readme.code("bash", in: "WAVE")[0])
            let placeholders = [
                "YOUR_JWT_TOKEN": token, "YOUR_TOKEN": token, "your_api_token": token,
                "YOUR_API_KEY": try await suite.token("apikey"),
                "YOUR_STREAM_ID": try #require(shell.variables["stream"]),
            ]
            func client(_ section: String, _ gateway: Int) throws -> NodeClient {
                let code = try #require(readme.code("js", in: section).first)
                return try NodeClient(
                    Self.shim(readme) + suite.address(code, gateway: gateway, replacing: placeholders))
            }

            var clients: [[String: NodeClient]] = []
            for gateway in 0...1 {
                var ofGateway: [String: NodeClient] = [:]
                for section in Self.clients { ofGateway[section] = try client(section, gateway) }
                clients.append(ofGateway)
            }
            for (gateway, client) in clients.enumerated() {
                try await client["Source Saver"]?.prints("Received: subscription:confirmed")
                try await client["StreamElements Astro"]?.prints("Success: ")
                try await client["WAVE"]?.prints("Received: subscribed")
                try await client["Airys"]?.prints("Received: auth_success")
                // Grimnir's says nothing when it is connected.
                try await suite.waitForClient(of: "grimnir", gateway: gateway)
            }

            try await shell.run(readme.code("bash", in: "Source Saver")[0])
            try await shell.run(readme.code("bash", in: "StreamElements Astro")[0])
            try await shell.run(readme.code("bash", in: "WAVE")[1])
            for block in readme.code("bash", in: "Grimnir Radio") { try await shell.run(block) }
            try await shell.run(readme.code("bash", in: "Airys")[0])

            for client in clients {
                try await client["Source Saver"]?.prints("Received: sources:create {")
                try await client["StreamElements Astro"]?.prints("Received: channel.activities {")
                try await client["WAVE"]?.prints("Received: stream.started {")
                try await client["WAVE"]?.prints("Good morning")
                try await client["Grimnir Radio"]?.prints("Event: now_playing {")
                try await client["Airys"]?.prints("Received: face_detected ")
            }

            let answers = try await shell.run(try #require(readme.code("bash", in: "Services").first))
            #expect(answers.contains(#""bus.auth":true"#), "\(answers)")
            #expect(answers.contains(#""sources.create""#), "\(answers)")
        }
    }
}

extension Suite {
    func waitForClient(of dialect: String, gateway: Int) async throws {
        try await Self.eventually("gateway \(gateway) has a client of \(dialect)", within: .seconds(20)) {
            let port = self.operatorsPort(gateway: gateway)
            let answer = try await HTTPClient.request(
                "GET", port: port, path: "/connections", headers: [("Authorization", "Bearer \(try self.ownerKey)")])
            let clients = JSON(parsing: answer.body)?["connections"]?.array ?? []
            return clients.contains { $0["dialect"]?.string == dialect && $0["filters"]?.array?.isEmpty == false }
        }
    }
}
