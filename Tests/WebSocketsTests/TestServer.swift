import Glibc
import Logging
import TestSupport
import Threads
import WebSockets

/// A handler that records what it is told, does what tests tell it, and answers text as its server was told.
final class TestHandler: LoopHandler {
    typealias Message = @Sendable (TestHandler) -> Void

    private(set) weak var loop: LoopContext?
    var onOpen: (Connection) -> Void = { _ in }
    private(set) var connections: [Connection] = []
    private let journal: Mailbox<String>
    private let onText: @Sendable (TestHandler, [UInt8], Connection) -> Void
    var onTimer: (TestHandler, TimerKind, Connection) -> Void = { _, _, _ in }
    var onTurnEnd: (TestHandler) -> Void = { _ in }
    var messages: [[UInt8]] = []
    var sent = 0

    init(journal: Mailbox<String>, onText: @escaping @Sendable (TestHandler, [UInt8], Connection) -> Void) {
        self.journal = journal
        self.onText = onText
    }

    func attached(to loop: LoopContext) { self.loop = loop }

    func received(_ messages: [Message]) {
        for message in messages { message(self) }
    }

    func opened(_ connection: Connection) {
        self.connections.append(connection)
        self.journal.post("opened")
        self.onOpen(connection)
    }

    func text(_ bytes: [UInt8], from connection: Connection) {
        self.messages.append(bytes)
        self.onText(self, bytes, connection)
    }

    func binary(_ bytes: [UInt8], from connection: Connection) {
        self.journal.post("binary \(bytes.count)")
    }

    func ponged(_ connection: Connection) { self.journal.post("ponged") }

    func closed(_ connection: Connection) {
        self.connections.removeAll { $0 === connection }
        self.journal.post("closed")
    }

    func fired(_ timer: TimerKind, for connection: Connection) {
        self.journal.post("fired \(timer.rawValue)")
        self.onTimer(self, timer, connection)
    }

    func turnEnded() { self.onTurnEnd(self) }
}

/// A loop behind a listener on a free port, with an acceptor that believes every client.
struct TestServer {
    let loop: Loop<TestHandler>
    let port: Int
    /// What happened, one line each.
    let journal: Mailbox<String>
    private let listener: Int32
    private let acceptor: WorkerThread

    /// Runs `body` with a server that is stopped after it.
    static func with(
        messageBytesMax: Int = 65536, subprotocol: String? = nil, sendBufferBytes: Int32? = nil,
        onText: @escaping @Sendable (TestHandler, [UInt8], Connection) -> Void = { _, bytes, client in
            client.send(text: bytes)
        },
        _ body: (TestServer) async throws -> Void
    ) async throws {
        let server = try TestServer(messageBytesMax, subprotocol, sendBufferBytes, onText)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private init(
        _ messageBytesMax: Int, _ subprotocol: String?, _ sendBufferBytes: Int32?,
        _ onText: @escaping @Sendable (TestHandler, [UInt8], Connection) -> Void
    ) throws {
        let journal = Mailbox<String>(capacity: 100_000) {}
        let loop = try Loop(name: "test", mailboxCapacity: 10_000, logger: Logger(label: "test")) {
            TestHandler(journal: journal, onText: onText)
        }
        let (listener, port) = Self.listen()
        self.loop = loop
        self.port = port
        self.journal = journal
        self.listener = listener
        self.acceptor = WorkerThread(name: "acceptor") {
            while case let descriptor = accept(listener, nil, nil), descriptor >= 0 {
                if var bytes = sendBufferBytes {
                    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
                }
                let (head, leftover) = Self.readHead(descriptor)
                let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }?.dropFirst(19)
                let upgrade = Upgrade(
                    descriptor: descriptor, key: String(key ?? ""), leftover: leftover,
                    messageBytesMax: messageBytesMax, subprotocol: subprotocol)
                _ = loop.post { handler in _ = handler.loop?.adopt(upgrade) }
            }
        }
    }

    func stop() async {
        shutdown(self.listener, Int32(SHUT_RDWR))
        await self.acceptor.join()
        close(self.listener)
        await self.loop.stop()
    }

    func connect(answersPings: Bool = true, sentAlong: [UInt8] = []) async throws -> WebSocketClient {
        try await WebSocketClient.connect(port: self.port, answersPings: answersPings, sentAlong: sentAlong)
    }

    /// Runs `body` on the loop and gives what it returns.
    func ask<Result: Sendable>(_ body: @escaping @Sendable (TestHandler) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            let isTaken = self.loop.post { handler in continuation.resume(returning: body(handler)) }
            precondition(isTaken, "the test's mailbox is full")
        }
    }

    /// Waits until `condition` holds on the loop; `false` after 10 seconds.
    func eventually(_ condition: @escaping @Sendable (TestHandler) -> Bool) async -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if await self.ask(condition) { return true }
            // A poll's interval. It ends early only if the test is cancelled.
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    static func listen() -> (descriptor: Int32, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let bound = bind(descriptor, address, length)
                precondition(bound == 0 && Glibc.listen(descriptor, 512) == 0, "no listener: \(errno)")
                getsockname(descriptor, address, &length)
            }
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    static func readHead(_ descriptor: Int32) -> (head: String, leftover: [UInt8]) {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return ("", []) }
            received += buffer[..<count]
            if let end = received.firstRange(of: Array("\r\n\r\n".utf8)) {
                return (
                    String(decoding: received[..<end.lowerBound], as: UTF8.self), Array(received[end.upperBound...])
                )
            }
        }
    }
}
