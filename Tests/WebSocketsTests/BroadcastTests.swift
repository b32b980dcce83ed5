import TestSupport
import Testing
import WebSockets

@Suite struct BroadcastTests {
    private static let clients = 200
    private static let messages = 1000

    @Test func `everyone gets every message once and in order, whatever one slow client does`() async throws {
        try await TestServer.with(sendBufferBytes: 16384) { server in
            let slow = try await server.connect()
            try await slow.setReading(false)
            var clients: [WebSocketClient] = []
            for _ in 0..<Self.clients { clients.append(try await server.connect()) }
            for _ in 0..<100 { await server.ask { Self.broadcast(10, $0) } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        for index in 0..<Self.messages {
                            let text = try await client.nextText(within: .seconds(60))
                            try #require(text.hasPrefix("\(index) "))
                        }
                    }
                }
                try await group.waitForAll()
            }
            // The slow one has ranges queued, and it alone; then it goes, and they with it.
            let queued = await server.ask { $0.connections.map(\.queuedFrames) }
            #expect(queued.filter { $0 > 0 }.count == 1)
            #expect(queued.max() ?? 0 > 0)
            await server.ask { handler in
                handler.connections.first { $0.queuedFrames > 0 }?
                    .close(code: 4008, reason: "too slow", discardingQueue: true)
            }
            #expect(await server.eventually { $0.connections.count == Self.clients })
            #expect(await server.ask { $0.loop?.connectionCount } == Self.clients)
            try await slow.drop()
        }
    }

    @Test func `replies and broadcasts keep their order`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { handler in
                guard let loop = handler.loop, let connection = handler.connections.first else { return }
                for index in 0..<100 {
                    if index % 3 == 0 {
                        connection.send(text: "\(index)".utf8)
                    } else {
                        connection.send(loop.append("\(index)".utf8))
                    }
                }
            }
            for index in 0..<100 { #expect(try await client.nextText() == "\(index)") }
        }
    }

    @Test func `a pong does not land inside a half-written frame`() async throws {
        try await TestServer.with(sendBufferBytes: 16384) { server in
            let client = try await server.connect()
            try await client.setReading(false)
            await server.ask { Self.broadcast(20_000, $0) }
            #expect(await server.eventually { $0.connections.first.map { $0.queuedBytes > 0 } ?? false })
            try await client.ping(Array("now".utf8))
            try await client.setReading(true)
            for index in 0..<20_000 { try #require(try await client.nextText().hasPrefix("\(index) ")) }
            #expect(try await client.nextPong() == Array("now".utf8))
        }
    }

    private static func broadcast(_ count: Int, _ handler: TestHandler) {
        guard let loop = handler.loop else { return }
        for _ in 0..<count {
            let range = loop.append("\(handler.sent) \(String(repeating: "x", count: 512))".utf8)
            handler.sent += 1
            for connection in handler.connections { connection.send(range) }
        }
    }
}
