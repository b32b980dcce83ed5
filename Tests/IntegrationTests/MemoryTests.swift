import Events
import Foundation
import Glibc
import TestSupport
import Testing

/// What a gateway holds for clients that cost it as much as they can, and what it keeps when they have gone.
@Suite("Memory", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct MemoryTests {
    private static let floodTime = Duration.seconds(6)
    private static let floodBytesMax = 24 << 20
    private static let ping = #"{"type":"ping","timestamp":1}"#

    /// A flood of one dialect, before its login or after.
    private struct Flood: Sendable {
        let dialect: Int
        let path: String
        var first: [String] = []
        let again: String
        var connections = 1
    }

    private static func floods(_ key: String) -> [Flood] {
        let echo = #"{"action":"ping","timestamp":""# + String(repeating: "x", count: 60_000) + #""}"#
        let subscribe =
            #"{"type":"subscribe","data":{"topic":"channel.tips","token":"\#(key)","token_type":"apikey"}}"#
        return [
            Flood(dialect: 0, path: "/", again: echo, connections: 20),
            Flood(dialect: 0, path: "/?token=\(key)", again: echo, connections: 20),
            Flood(dialect: 1, path: "/", again: "{}"),
            Flood(dialect: 1, path: "/", first: [subscribe], again: "{}"),
            Flood(dialect: 2, path: "/v1/streams", again: Self.ping),
            Flood(dialect: 2, path: "/v1/streams?api_key=\(key)", again: Self.ping, connections: 3),
            Flood(dialect: 3, path: "/api/v1/events?token=\(key)", again: "{}"),
            Flood(dialect: 4, path: "/v1/stream", again: Self.ping),
            Flood(dialect: 4, path: "/v1/stream?token=\(key)", again: Self.ping),
        ]
    }

    @Test func `who floods and reads nothing costs little memory, in every dialect, logged in or not`() async throws {
        try await Suite.with([.auth]) { suite in
            let key = try await suite.token("apikey", tier: "enterprise")
            let before = try Self.residentBytes(of: suite)
            let outcomes = try await withThrowingTaskGroup(of: (Flood, RawFlood.Outcome).self) { group in
                for flood in Self.floods(key) {
                    for _ in 0..<flood.connections {
                        group.addTask {
                            let outcome = try await RawFlood.run(
                                port: suite.edgePort(flood.dialect), path: flood.path, first: flood.first,
                                again: flood.again, for: Self.floodTime)
                            return (flood, outcome)
                        }
                    }
                }
                var most = 0
                let end = ContinuousClock.now + Self.floodTime
                while ContinuousClock.now < end {
                    most = max(most, try Self.residentBytes(of: suite))
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(most - before < Self.floodBytesMax, "\((most - before) >> 20) MiB")
                return try await group.reduce(into: []) { $0.append($1) }
            }
            // Whoever can be answered without end is made to wait.
            for (flood, outcome) in outcomes where flood.dialect == 2 && flood.path.contains("api_key") {
                #expect(!outcome.isEnded)
            }
            for (flood, outcome) in outcomes where flood.dialect == 1 {
                #expect(outcome.isEnded, "\(flood.path): \(outcome.sent) bytes")
            }
            // Everybody else is served.
            let client = try await suite.connect(0, "/")
            try await client.send(["action": "ping"])
            #expect(try await client.next()["event"] == "pong")
        }
    }

    @Test func `memory goes back to the system after a peak`() async throws {
        try await Suite.with([.auth]) { suite in
            let key = try await suite.token("apikey", tier: "enterprise")
            let path = "/v1/streams?api_key=\(key)"
            // Once, so that what is made on first use is there.
            let first = try await suite.connect(2, path)
            try await first.send(["type": "ping", "timestamp": 1])
            _ = try await first.next()
            let idle = try Self.residentBytes(of: suite)
            // Messages that never end: 60 KB each, and what a connection takes.
            let part = WebSocketFrames.masked(opcode: 1, [UInt8](repeating: 0x20, count: 60_000), isLast: false)
            var clients: [WebSocketClient] = []
            for _ in 0..<12 {
                clients += try await withThrowingTaskGroup(of: WebSocketClient.self) { group in
                    for _ in 0..<50 {
                        group.addTask {
                            let client = try await suite.connect(2, path)
                            try await client.send(["type": "ping", "timestamp": 1])
                            _ = try await client.next()
                            try await client.sendRaw(part)
                            return client
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
            }
            try await Suite.eventually("a peak") { try Self.residentBytes(of: suite) > idle + 30 << 20 }
            // Some stay: what is theirs lies between what was the others'.
            for (number, client) in clients.enumerated() where number % 50 != 0 { try await client.drop() }
            try await Suite.eventually("memory goes back", within: .seconds(60)) {
                try Self.residentBytes(of: suite) * 10 <= idle * 13
            }
            for (number, client) in clients.enumerated() where number % 50 == 0 { try await client.drop() }
        }
    }

    private static func residentBytes(of suite: Suite) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(try suite.pid("gateway-0"))/statm", encoding: .utf8)
        guard let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Suite.Failure(description: "no memory in \(text)")
        }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }
}
