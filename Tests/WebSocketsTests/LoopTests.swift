import TestSupport
import Testing
import Threads
import WebSockets

@Suite struct LoopTests {
    @Test func `a text message is echoed`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.send(text: "høre")
            #expect(try await client.nextText() == "høre")
            try await client.close()
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(server.journal.drain() == ["opened", "closed"])
        }
    }

    @Test func `a frame that came with the handshake is delivered`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect(sentAlong: WebSocketFrames.masked(opcode: 1, Array("early".utf8)))
            #expect(try await client.nextText() == "early")
        }
    }

    @Test(arguments: [1, 125, 126, 1024, 1025, 65535, 65536, 300_000])
    func `a message of any length comes whole and goes whole`(count: Int) async throws {
        try await TestServer.with(messageBytesMax: 300_000) { server in
            let client = try await server.connect()
            let text = String(repeating: "x", count: count)
            try await client.send(text: text)
            #expect(try await client.nextText() == text)
        }
    }

    @Test func `a fragmented message with a ping inside comes whole`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.sendRaw(WebSocketFrames.masked(opcode: 1, Array("ab".utf8), isLast: false))
            try await client.ping(Array("p".utf8))
            try await client.sendRaw(WebSocketFrames.masked(opcode: 0, Array("cd".utf8), isLast: false))
            try await client.sendRaw(WebSocketFrames.masked(opcode: 0, []))
            #expect(try await client.nextText() == "abcd")
            #expect(try await client.nextPong() == Array("p".utf8))
        }
    }

    @Test func `a binary message is told as such`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.send(binary: [0xff, 0xfe, 0])
            try await client.send(text: "after")
            #expect(try await client.nextText() == "after")
            #expect(server.journal.drain() == ["opened", "binary 3"])
        }
    }

    @Test func `our ping is answered and told`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { $0.connections.first?.ping() }
            try await client.send(text: "after the pong")
            var lines: [String] = []
            let deadline = ContinuousClock.now + .seconds(5)
            while !lines.contains("ponged"), ContinuousClock.now < deadline {
                lines += server.journal.drain()
                await Task.yield()
            }
            #expect(lines == ["opened", "ponged"])
            #expect(try await client.pings() == 1)
        }
    }

    @Test func `a subprotocol is answered in the handshake`() async throws {
        try await TestServer.with(subprotocol: "crosspoint.v1") { server in
            let client = try await server.connect()
            #expect(client.headers["sec-websocket-protocol"] == "crosspoint.v1")
        }
    }

    @Test func `a key that is none is refused and its descriptor closed`() async throws {
        try await TestServer.with { server in
            await #expect(throws: (any Error).self) {
                try await WebSocketClient.connect(port: server.port, headers: [("Sec-WebSocket-Key", "a b")])
            }
            #expect(server.journal.drain() == [])
            #expect(await server.ask { $0.loop?.connectionCount } == 0)
        }
    }

    @Test func `what is sent when a turn ends goes out with it`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { handler in
                handler.onTurnEnd = { handler in
                    handler.onTurnEnd = { _ in }
                    handler.connections.first?.send(text: "turn".utf8)
                }
            }
            #expect(try await client.nextText() == "turn")
        }
    }

    @Test func `timers fire, move and can be taken back`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { handler in
                guard let connection = handler.connections.first else { return }
                handler.onTimer = { _, kind, connection in
                    if kind.rawValue == 3 { connection.send(text: "three".utf8) }
                }
                connection.schedule(TimerKind(rawValue: 1), after: .milliseconds(20))
                connection.schedule(TimerKind(rawValue: 2), after: .milliseconds(30))
                connection.schedule(TimerKind(rawValue: 3), after: .milliseconds(5))
                connection.schedule(TimerKind(rawValue: 3), after: .milliseconds(60))
                connection.cancel(TimerKind(rawValue: 1))
            }
            #expect(try await client.nextText() == "three")
            #expect(server.journal.drain() == ["opened", "fired 2", "fired 3"])
        }
    }

    @Test func `stop tells every connection and the handler, and the mailbox takes no more`() async throws {
        try await TestServer.with { server in
            let clients = [try await server.connect(), try await server.connect()]
            await server.loop.stop()
            for client in clients { #expect(try await client.closeCode() == 1001) }
            #expect(server.journal.drain().sorted() == ["closed", "closed", "opened", "opened"])
            #expect(!server.loop.post { _ in })
        }
    }

    @Test func `loops come and go side by side`() async throws {
        for _ in 0..<5 {
            try await TestServer.with { first in
                try await TestServer.with { second in
                    let clients = [try await first.connect(), try await second.connect()]
                    for client in clients {
                        try await client.send(text: "here")
                        #expect(try await client.nextText() == "here")
                    }
                }
            }
        }
    }
}
