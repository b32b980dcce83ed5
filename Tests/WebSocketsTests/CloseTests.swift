import TestSupport
import Testing
import Threads
import WebSockets

@Suite struct CloseTests {
    @Test func `a close from a message arrives with code and reason`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { $0.connections.first?.close(code: 4001, reason: "by message") }
            #expect(try await client.closing() == (4001, "by message"))
            #expect(await server.eventually { $0.connections.isEmpty })
        }
    }

    @Test func `a close from a timer arrives`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { handler in
                handler.onTimer = { _, _, connection in connection.close(code: 4002, reason: "by timer") }
                handler.connections.first?.schedule(TimerKind(rawValue: 1), after: .milliseconds(10))
            }
            #expect(try await client.closing() == (4002, "by timer"))
        }
    }

    @Test func `a close from a received message arrives behind the answer`() async throws {
        try await TestServer.with(
            onText: { _, bytes, connection in
                connection.send(text: bytes)
                connection.close(code: 4003, reason: "by text")
                connection.send(text: "too late".utf8)
            },
            { server in
                let client = try await server.connect()
                try await client.send(text: "last words")
                #expect(try await client.nextText() == "last words")
                #expect(try await client.closing() == (4003, "by text"))
                await #expect(throws: WebSocketClientError.closed(code: 4003, reason: "by text")) {
                    try await client.nextText()
                }
            })
    }

    @Test func `an answer to a message goes out though a CLOSE frame came right behind it`() async throws {
        try await TestServer.with(
            onText: { _, bytes, connection in connection.send(text: bytes) },
            { server in
                let client = try await server.connect()
                try await client.sendRaw(
                    WebSocketFrames.masked(opcode: 1, Array("last words".utf8))
                        + WebSocketFrames.masked(opcode: 8, [0x03, 0xE8]))
                #expect(try await client.nextText() == "last words")
                #expect(try await client.closeCode() == 1000)
            })
    }

    @Test func `a connection that is finished sends what waits, and ends without a CLOSE frame`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            let text = String(repeating: "x", count: 3_000_000)
            await server.ask { handler in
                handler.connections.first?.send(text: text.utf8)
                handler.connections.first?.finish()
                handler.connections.first?.send(text: "too late".utf8)
            }
            #expect(try await client.nextText().utf8.count == 3_000_000)
            #expect(try await client.closeCode() == 1006)
            #expect(await server.eventually { $0.connections.isEmpty })
        }
    }

    @Test func `a connection that is finished with nothing to send ends at once`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { $0.connections.first?.finish() }
            #expect(try await client.closeCode(within: .seconds(1)) == 1006)
        }
    }

    @Test func `a close when a turn ends arrives`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { handler in
                handler.onTurnEnd = { $0.connections.first?.close(code: 4004, reason: "by turn") }
            }
            #expect(try await client.closing() == (4004, "by turn"))
        }
    }

    @Test func `a connection can be closed or dropped as it opens`() async throws {
        try await TestServer.with { server in
            await server.ask { $0.onOpen = { $0.close(code: 4009, reason: "full") } }
            let closed = try await server.connect()
            #expect(try await closed.closing() == (4009, "full"))
            await server.ask { $0.onOpen = { $0.drop() } }
            let dropped = try await server.connect()
            #expect(try await dropped.closeCode() == 1006)
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(server.journal.drain() == ["opened", "closed", "opened", "closed"])
        }
    }

    @Test func `a close waits for a full queue to drain`() async throws {
        try await TestServer.with(sendBufferBytes: 16384) { server in
            let client = try await server.connect()
            try await client.setReading(false)
            await server.ask { handler in
                guard let loop = handler.loop, let connection = handler.connections.first else { return }
                for index in 0..<200 { connection.send(loop.append(Self.numbered(index, bytes: 50_000))) }
            }
            #expect(await server.eventually { $0.connections.first.map { $0.queuedBytes > 0 } ?? false })
            await server.ask { $0.connections.first?.close(code: 4005, reason: "after all of it") }
            try await client.setReading(true)
            for index in 0..<200 {
                #expect(try await client.nextText().utf8.elementsEqual(Self.numbered(index, bytes: 50_000)))
            }
            #expect(try await client.closing() == (4005, "after all of it"))
        }
    }

    @Test func `a client that reads again in time learns that it was too slow`() async throws {
        try await TestServer.with(sendBufferBytes: 16384) { server in
            let client = try await server.connect()
            try await client.setReading(false)
            await server.ask { handler in
                guard let loop = handler.loop, let connection = handler.connections.first else { return }
                for index in 0..<200 { connection.send(loop.append(Self.numbered(index, bytes: 50_000))) }
            }
            #expect(await server.eventually { $0.connections.first.map { $0.queuedBytes > 0 } ?? false })
            await server.ask { $0.connections.first?.close(code: 4006, reason: "slow", discardingQueue: true) }
            #expect(await server.ask { $0.connections.first?.queuedFrames } ?? 0 <= 1)
            try await client.setReading(true)
            #expect(try await client.closing() == (4006, "slow"))
        }
    }

    @Test func `a client that never answers a close is cut off`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.setReading(false)
            await server.ask { $0.connections.first?.close(code: 4007, reason: "") }
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(server.journal.drain() == ["opened", "closed"])
            try await client.drop()
        }
    }

    @Test func `a dropped connection ends without a close frame`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await server.ask { $0.connections.first?.drop() }
            #expect(try await client.closeCode() == 1006)
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(server.journal.drain() == ["opened", "closed"])
        }
    }

    @Test func `a client that vanishes is told as closed`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.drop()
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(server.journal.drain() == ["opened", "closed"])
        }
    }

    @Test func `a message that is too big is closed with 1009`() async throws {
        try await TestServer.with(messageBytesMax: 5000) { server in
            let client = try await server.connect()
            try await client.send(text: String(repeating: "x", count: 5000))
            #expect(try await client.nextText().count == 5000)
            try await client.sendRaw(
                WebSocketFrames.masked(opcode: 1, [UInt8](repeating: 120, count: 3000), isLast: false))
            try await client.sendRaw(WebSocketFrames.masked(opcode: 0, [UInt8](repeating: 120, count: 2001)))
            #expect(try await client.closeCode() == 1009)
        }
    }

    @Test func `text that is not UTF-8 is closed with 1007`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.sendRaw(WebSocketFrames.masked(opcode: 1, [0x61, 0xff, 0x62]))
            #expect(try await client.closeCode() == 1007)
            #expect(await server.eventually { $0.connections.isEmpty })
            #expect(await server.ask { $0.messages.isEmpty })
        }
    }

    @Test(arguments: [
        WebSocketFrames.masked(opcode: 3, []), WebSocketFrames.masked(opcode: 0x50 | 1, [1]),
        WebSocketFrames.masked(opcode: 0, [1]), WebSocketFrames.masked(opcode: 9, [], isLast: false),
    ])
    func `a frame against the protocol is closed with 1002`(frame: [UInt8]) async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.sendRaw(frame)
            #expect(try await client.closeCode() == 1002)
            #expect(await server.eventually { $0.connections.isEmpty })
        }
    }

    @Test func `a close of the client is answered with its code`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            try await client.close(code: 4321)
            #expect(try await client.closeCode() == 4321)
            #expect(await server.eventually { $0.connections.isEmpty })
        }
    }

    private static func numbered(_ index: Int, bytes: Int) -> [UInt8] {
        Array("\(index) ".utf8) + [UInt8](repeating: 46, count: bytes)
    }
}
