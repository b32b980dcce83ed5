import TestSupport
import Testing
import WebSockets

/// A connection whose client does not take its replies, or whose owner has enough of its messages.
@Suite struct FlowControlTests {
    private static let answer = String(repeating: "x", count: 1000)

    /// A server that answers each message with 1,000 bytes and counts them.
    private static func with(_ body: (TestServer, WebSocketClient) async throws -> Void) async throws {
        try await TestServer.with(
            sendBufferBytes: 4096,
            onText: { handler, _, connection in
                handler.sent += 1
                connection.send(text: Self.answer.utf8)
            },
            { server in
                let client = try await server.connect()
                try await body(server, client)
            })
    }

    /// Sends so many messages, however long it takes until they are taken.
    private static func flood(_ client: WebSocketClient, _ count: Int) -> Task<Void, any Error> {
        let frame = WebSocketFrames.masked(opcode: 1, Array("again".utf8))
        let frames = Array(repeatElement(frame, count: 1000).joined())
        return Task { for _ in 0..<count / 1000 { try await client.sendRaw(frames) } }
    }

    @Test func `a client that does not take its replies is not read, and gets all of them when it does`() async throws {
        let count = 4000
        try await Self.with { server, client in
            try await client.setReading(false)
            let flood = Self.flood(client, count)
            #expect(await server.eventually { $0.connections.first?.isPausedForReplies == true })
            // Nothing more is answered until the client reads.
            let (answered, queued) = await server.ask { ($0.sent, $0.connections.first?.queuedBytes ?? 0) }
            #expect(queued <= Connection.replyBytesMax + 2 * 1004)
            #expect(answered < count)
            try await client.setReading(true)
            for _ in 0..<count { #expect(try await client.nextText().utf8.count == 1000) }
            try await flood.value
            #expect(await server.eventually { $0.connections.first?.isPausedForReplies == false })
        }
    }

    @Test func `a client that takes a part of what one write has handed over makes progress`() async throws {
        let count = 1 << 20
        try await Self.with { server, client in
            try await client.setReading(false)
            #expect(await server.eventually { !$0.connections.isEmpty })
            await server.ask { $0.connections.first?.send(text: repeatElement(UInt8(ascii: "x"), count: count)) }
            #expect(await server.eventually { $0.connections.first?.queuedBytes == 0 })
            let before = try #require(await server.ask { $0.connections.first?.progress })
            try await client.setReading(true)
            #expect(try await client.nextText().utf8.count == count)
            #expect(await server.eventually { ($0.connections.first?.progress ?? 0) > before + UInt64(count / 2) })
        }
    }

    @Test func `a connection that is not read can be closed, and ends when the client answers`() async throws {
        try await Self.with { server, client in
            try await client.setReading(false)
            let flood = Self.flood(client, 4000)
            #expect(await server.eventually { $0.connections.first?.isPausedForReplies == true })
            await server.ask { $0.connections.first?.close(code: 4001, reason: "enough", discardingQueue: true) }
            try await client.setReading(true)
            #expect(try await client.closing() == (4001, "enough"))
            #expect(await server.eventually { $0.connections.isEmpty })
            // What it still sends has nowhere to go.
            try? await flood.value
        }
    }

    @Test func `an owner that has enough is given nothing more until it asks for it`() async throws {
        try await TestServer.with(
            onText: { handler, bytes, connection in
                connection.send(text: bytes)
                if bytes == Array("stop".utf8) { connection.pauseReading() }
            },
            { server in
                let client = try await server.connect()
                // In one segment: what libwebsockets has read with it is held back, too.
                let frames = ["stop", "after", "that"].map { WebSocketFrames.masked(opcode: 1, Array($0.utf8)) }
                try await client.sendRaw(Array(frames.joined()))
                #expect(try await client.nextText() == "stop")
                try await client.send(text: "late")
                await server.ask { $0.connections.first?.ping() }
                #expect(await server.ask { $0.messages.count } == 1)
                await server.ask { $0.connections.first?.resumeReading() }
                for text in ["after", "that", "late"] { #expect(try await client.nextText() == text) }
            })
    }

    @Test func `how long a message may be can change while the connection is open`() async throws {
        try await TestServer.with(messageBytesMax: 100) { server in
            let client = try await server.connect()
            try await client.send(text: String(repeating: "x", count: 100))
            #expect(try await client.nextText().utf8.count == 100)
            await server.ask { $0.connections.first?.messageBytesMax = 2000 }
            try await client.send(text: String(repeating: "x", count: 2000))
            #expect(try await client.nextText().utf8.count == 2000)
            try await client.send(text: String(repeating: "x", count: 2001))
            #expect(try await client.closeCode() == 1009)
        }
    }
}
