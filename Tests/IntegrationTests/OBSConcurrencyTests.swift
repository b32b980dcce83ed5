import Events
import TestSupport
import Testing

/// Many who want something of one OBS at the same moment.
@Suite("OBS concurrency", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OBSConcurrencyTests {
    @Test func `who waits when the link is lost is answered`() async throws {
        try await OBSFaultTests.with { suite, obs, api in
            var ids: [String] = []
            for name in ["One", "Two", "Three", "Four"] { ids.append(try await SourcesClient(suite).create(name)) }
            for id in ids { try await api.place(id, in: "Main") }
            obs.stall()
            let start = ContinuousClock.now
            try await withThrowingTaskGroup(of: Int.self) { group in
                for id in ids {
                    group.addTask { try await api.send("PUT", scene: "Main", "/\(id)/config", ["x": 5]).status }
                }
                // Each is written down before it is carried out, one after the other.
                try await Suite.eventually("all of them wait") {
                    let entries = try await api.send("GET", "/audit")["entries"]?.array ?? []
                    return entries.count { $0["outcome"] == "started" } == ids.count
                }
                obs.dropAll()
                for try await status in group { #expect(status == 503) }
            }
            #expect(ContinuousClock.now - start < .seconds(10))
            obs.resume()
            try await api.waitUntilConnected()
            try await api.change(ids[0], in: "Main", ["x": 7])
        }
    }

    @Test func `many who connect at once get one link`() async throws {
        try await OBSFaultTests.with { _, obs, api in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await api.send("POST", "/reconnect") } }
                try await group.waitForAll()
            }
            try await api.waitUntilConnected()
            try await Suite.eventually("the others have ended") { obs.clients == 1 }
            try await Suite.holds("there is one", for: .seconds(3)) { obs.clients == 1 }
            try await api.succeed("POST", "/disconnect")
            try await Suite.eventually("nobody is left") { obs.clients == 0 }
        }
    }
}
