import NIOCore
import NIOHTTP1
import NIOWebSocket
import TestSupport
import Testing
import Threads

@testable import WebSockets

@Suite(.timeLimit(.minutes(2))) struct ClientLoopTests {
    /// Runs `body` with a loop that is stopped after it.
    private static func withLoop(
        certificates: String? = nil, messageBytesMax: Int = 32 * 1024 * 1024,
        _ body: (ClientLoop) async throws -> Void
    ) async throws {
        let loop = try ClientLoop(name: "client", certificates: certificates, messageBytesMax: messageBytesMax)
        do {
            try await body(loop)
        } catch {
            await loop.stop()
            throw error
        }
        await loop.stop()
    }

    private static func withConnection(
        messageBytesMax: Int = 32 * 1024 * 1024, _ body: (FrameServer, ClientConnection) async throws -> Void
    ) async throws {
        try await FrameServer.with { server in
            try await Self.withLoop(messageBytesMax: messageBytesMax) { loop in
                let connection = try await loop.open(Self.address(server.port), subprotocol: "obswebsocket.json")
                try #require(await server.eventually { $0.channels.count == 1 })
                try await body(server, connection)
            }
        }
    }

    private static func address(_ port: Int, host: String = "127.0.0.1", isSecure: Bool = false) -> ServerAddress {
        ServerAddress(host: host, port: port, isSecure: isSecure)
    }

    private static func next(_ connection: ClientConnection) async -> [UInt8]? {
        for await message in connection.messages { return message }
        return nil
    }

    /// Reads to the end, and says how it ended.
    private static func end(_ connection: ClientConnection) async -> ClientConnection.Ending? {
        for await _ in connection.messages {}
        return connection.ending
    }

    // MARK: messages

    @Test func `text goes both ways`() async throws {
        try await Self.withConnection { server, connection in
            #expect(connection.send(text: Array("hällo".utf8)))
            #expect(connection.send(text: []))
            #expect(await server.eventually { $0.texts == ["hällo", ""] })
            server.send(.text("wörld"), .text(""))
            #expect(await Self.next(connection) == Array("wörld".utf8))
            #expect(await Self.next(connection) == [])
            #expect(connection.ending == nil)
        }
    }

    @Test(arguments: ["obswebsocket.json", nil])
    func `the handshake says what is wanted, and the server need not say that it agrees`(answer: String?) async throws {
        try await FrameServer.with(subprotocol: answer) { server in
            try await Self.withLoop { loop in
                let address = ServerAddress(host: "localhost", port: server.port, path: "/obs?a=b")
                let connection = try await loop.open(address, subprotocol: "obswebsocket.json")
                let head = try #require(server.now.heads.first)
                #expect(head.uri == "/obs?a=b")
                #expect(head.headers["Host"] == ["localhost:\(server.port)"])
                #expect(head.headers["Sec-WebSocket-Protocol"] == ["obswebsocket.json"])
                _ = connection.send(text: Array("x".utf8))
                #expect(await server.eventually { $0.texts == ["x"] })
            }
        }
    }

    @Test func `a message of 5 MB in pieces is received whole, and one sent arrives whole`() async throws {
        let message = (0..<5_000_000).map { UInt8(97 + $0 % 23) }
        try await Self.withConnection { server, connection in
            server.send(FrameServer.Frame.pieces(message, of: 65_000))
            #expect(await Self.next(connection) == message)
            #expect(connection.send(text: message))
            #expect(await server.eventually { $0.frames.map(\.bytes).joined().count == message.count })
            #expect(server.now.frames.flatMap(\.bytes) == message)
        }
    }

    @Test func `a message may be as long as was said, and not longer`() async throws {
        let longest = [UInt8](repeating: 97, count: 100_000)
        try await Self.withConnection(messageBytesMax: 100_000) { server, connection in
            server.send(FrameServer.Frame.pieces(longest, of: 30_000))
            #expect(await Self.next(connection) == longest)
            server.send(FrameServer.Frame.pieces(longest + [97], of: 30_000))
            try #require(await server.eventually { $0.ended == 1 })
            #expect(await Self.end(connection) == .init(code: nil, reason: "a message was too long"))
        }
    }

    @Test func `a thousand messages keep their order both ways`() async throws {
        try await Self.withConnection { server, connection in
            let texts = (0..<1000).map { "message \($0)" }
            for text in texts { #expect(connection.send(text: Array(text.utf8))) }
            #expect(await server.eventually { $0.texts.count == 1000 })
            #expect(server.now.texts == texts)
            server.send(texts.map { .text($0) })
            var received: [String] = []
            for await message in connection.messages {
                received.append(String(decoding: message, as: UTF8.self))
                if received.count == 1000 { break }
            }
            #expect(received == texts)
        }
    }

    @Test func `a server that sends faster than anybody reads is dropped`() async throws {
        try await Self.withConnection { server, connection in
            server.send((0..<17_000).map { .text("\($0)") })
            try #require(await server.eventually { $0.ended == 1 })
            var count = 0
            for await _ in connection.messages { count += 1 }
            #expect(count == 16_384)
            #expect(connection.ending == .init(code: nil, reason: "messages came faster than they were read"))
        }
    }

    @Test func `messages that nobody reads are bounded in bytes, too`() async {
        let connection = ClientConnection(
            metrics: QueueMetrics(queue: "websocket-messages"), waitingBytesMax: 10, order: { _ in true })
        #expect([4, 6, 1].map { connection.received(Array(repeating: 97, count: $0)) } == [true, true, false])
        #expect(await Self.next(connection) == Array(repeating: 97, count: 4))
        #expect(connection.received([1, 2, 3, 4]))
        #expect(!connection.received([5]))
    }

    @Test func `a full queue of orders refuses messages, and says so, but no end`() {
        let mailbox = Mailbox<ClientOrder>(capacity: 1) {}
        let connection = ClientConnection(
            metrics: QueueMetrics(queue: "websocket-messages"), order: ClientLoop.order(in: mailbox))
        #expect(connection.send(text: [1]))
        #expect(!connection.send(text: [2]))
        connection.close()
        connection.drop()
        let taken = mailbox.drain().map { order in
            switch order {
            case .open: "open"
            case .send(_, let bytes): "send \(bytes)"
            case .close: "close"
            case .drop: "drop"
            }
        }
        #expect(taken == ["send [1]", "close", "drop"])
    }

    @Test func `a server that reads nothing is dropped when too much waits for it`() async throws {
        try await FrameServer.with { server in
            let loop = try ClientLoop(name: "client", messageBytesMax: 1000, unsentBytesMax: 1 << 20)
            let connection = try await loop.open(Self.address(server.port), subprotocol: "obswebsocket.json")
            try #require(await server.eventually { $0.channels.count == 1 })
            for channel in server.now.channels { try await channel.setOption(.autoRead, value: false).get() }
            let message = [UInt8](repeating: 97, count: 1 << 18)
            var taken = 0
            while connection.ending == nil, taken < 200 {
                if connection.send(text: message) { taken += 1 }
                // Not more at once than the loop's thread hands on.
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(await Self.end(connection) == .init(code: nil, reason: "the server reads too slowly"))
            await loop.stop()
        }
    }

    @Test func `a binary message ends the connection`() async throws {
        try await Self.withConnection { server, connection in
            server.send(FrameServer.Frame(opcode: .binary, bytes: [1, 2, 3]))
            try #require(await server.eventually { $0.ended == 1 })
            #expect(await Self.end(connection) == .init(code: nil, reason: "a message was binary"))
        }
    }

    @Test func `a PING is answered`() async throws {
        try await Self.withConnection { server, connection in
            server.send(FrameServer.Frame(opcode: .ping, bytes: [7, 8]))
            #expect(await server.eventually { $0.frames.contains { $0.opcode == .pong && $0.bytes == [7, 8] } })
            #expect(connection.ending == nil)
        }
    }

    // MARK: ends

    @Test(arguments: [(4009, "Authentication failed."), (1001, ""), (4011, "wörds")] as [(UInt16, String)])
    func `a server's close code and reason arrive`(code: UInt16, reason: String) async throws {
        try await Self.withConnection { server, connection in
            server.send(.text("last words"), .close(code, reason))
            #expect(await Self.next(connection) == Array("last words".utf8))
            #expect(await Self.end(connection) == .init(code: code, reason: reason))
        }
    }

    @Test func `a connection that breaks has no code`() async throws {
        try await Self.withConnection { server, connection in
            for channel in server.now.channels { channel.close(promise: nil) }
            let ending = await Self.end(connection)
            #expect(ending != nil && ending?.code == nil)
        }
    }

    @Test func `a connection that is dropped ends at once, without a word`() async throws {
        try await Self.withConnection { server, connection in
            connection.drop()
            try #require(await server.eventually { $0.ended == 1 })
            #expect(await Self.end(connection) == .init(code: nil, reason: "given up"))
            #expect(server.now.frames.isEmpty)
            // Nobody minds.
            _ = connection.send(text: Array("too late".utf8))
            connection.close()
            connection.drop()
        }
    }

    @Test func `a connection that is closed sends what waits and a CLOSE frame, then ends`() async throws {
        try await Self.withConnection { server, connection in
            for number in 0..<100 { #expect(connection.send(text: Array("\(number)".utf8))) }
            connection.close(code: 4321)
            _ = connection.send(text: Array("too late".utf8))
            #expect(await server.eventually { $0.frames.last?.opcode == .connectionClose })
            #expect(server.now.texts == (0..<100).map(String.init))
            #expect(server.now.frames.last?.bytes == [0x10, 0xE1])
            // Though the server does not answer it.
            try #require(await server.eventually { $0.ended == 1 })
            #expect(await Self.end(connection) != nil)
        }
    }

    @Test func `stopping ends everything, and opens nothing more`() async throws {
        try await FrameServer.with { server in
            let loop = try ClientLoop(name: "client", messageBytesMax: 1000)
            let one = try await loop.open(Self.address(server.port), subprotocol: "obswebsocket.json")
            let other = try await loop.open(Self.address(server.port), subprotocol: "obswebsocket.json")
            await loop.stop()
            #expect(await Self.end(one) == .init(code: nil, reason: "the loop has stopped"))
            #expect(await Self.end(other) == .init(code: nil, reason: "the loop has stopped"))
            await #expect(throws: WebSocketsError.notConnected("the loop has stopped")) {
                try await loop.open(Self.address(server.port), subprotocol: "obswebsocket.json")
            }
            #expect(await server.eventually { $0.ended == 2 })
        }
    }
}
