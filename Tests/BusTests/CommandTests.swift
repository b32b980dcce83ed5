import Events
import NIOConcurrencyHelpers
import ServiceLifecycle
import TestSupport
import Testing

@testable import Bus

private struct Double: Command {
    struct Answer: Codable, Sendable { var number: Int }
    static let name = "test.double"
    static let service = ServiceName.auth
    static let askers: Set<BusRole> = .all
    var number: Int
}

private struct Absent: Command {
    typealias Answer = String
    static let name = "test.absent"
    static let service = ServiceName.auth
    static let askers: Set<BusRole> = .all
}

@Suite struct CommandTests {
    private let endpoint = freeEndpoint()

    private func client() -> CommandClient {
        CommandClient(endpoints: [.auth: BusEndpoints(events: "", commands: self.endpoint)], logger: quiet)
    }

    private func server(openMax: Int = 10_000) -> CommandServer {
        let server = CommandServer(endpoint: self.endpoint, logger: quiet, openMax: openMax)
        server.answer(Double.self) { Double.Answer(number: $0.number * 2) }
        return server
    }

    /// Waits until the server is there.
    private func connect(_ client: CommandClient) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            do {
                _ = try await client.call(Double(number: 0))
                return
            } catch  where ContinuousClock.now < deadline {}
        }
    }

    private func failure(_ body: () async throws -> some Any) async -> CommandFailure? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? CommandFailure
        }
    }

    @Test func `a command is answered`() async throws {
        let client = self.client()
        try await with(client, self.server()) {
            try await self.connect(client)
            let answer = try await client.call(Double(number: 21))
            #expect(answer.number == 42)
        }
    }

    @Test func `failures arrive with their codes`() async throws {
        let (client, server) = (self.client(), self.server())
        server.answer("test.conflict", from: .all) { _ in throw CommandFailure(.conflict, "the stream has ended") }
        server.answer("test.broken", from: .all) { _ in throw CancellationError() }
        try await with(client, server) {
            try await self.connect(client)
            let conflict = await self.failure { try await client.call(.auth, "test.conflict", body: []) }
            #expect(conflict == CommandFailure(.conflict, "the stream has ended"))
            #expect(
                await self.failure { try await client.call(.auth, "test.broken", body: []) }?.code == .internalError)
            #expect(await self.failure { try await client.call(Absent()) }?.code == .unknownCommand)
            #expect(await self.failure { try await client.call(.auth, Double.name, body: [1, 2]) }?.code == .invalid)
            #expect(await self.failure { try await client.call(.radioPlayout, "a", body: []) }?.code == .unavailable)
        }
    }

    @Test func `nobody there is known soon`() async throws {
        let client = self.client()
        try await with(client) {
            // At its own deadline the call would fail in another way.
            let failure = await self.failure { try await client.call(Double(number: 1), timeout: .seconds(60)) }
            #expect(failure?.code == .unavailable)
        }
    }

    @Test func `an answer that does not come in time is a failure, and ignored when it comes`() async throws {
        let (client, server) = (self.client(), self.server())
        let gate = NIOLockedValueBox(false)
        let late = NIOLockedValueBox(false)
        server.answer("test.slow", from: .all) { _ in
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            late.withLockedValue { $0 = true }
            return []
        }
        try await with(client, server) {
            try await self.connect(client)
            let failure = await self.failure {
                // Long enough for a busy machine to have begun with it: one that is over before is not carried out.
                try await client.call(.auth, "test.slow", body: [], timeout: .seconds(3))
            }
            #expect(failure?.code == .deadlineExceeded)
            gate.withLockedValue { $0 = true }
            try await eventually { late.withLockedValue { $0 } }
            for number in 0..<20 { #expect(try await client.call(Double(number: number)).number == number * 2) }
        }
    }

    @Test func `a command after its deadline is not carried out`() async throws {
        let server = self.server()
        let isCarriedOut = NIOLockedValueBox(false)
        server.answer("test.mark", from: .all) { _ in
            isCarriedOut.withLockedValue { $0 = true }
            return []
        }
        try await with(server) {
            let socket = try Socket(.dealer, in: Context())
            try socket.connect(self.endpoint)
            let request = CommandRequest(correlation: 5, timeLeft: .zero, name: "test.mark", body: [])
            _ = try socket.send(request.frames)
            let reply = try await Self.reply(on: socket)
            #expect(reply.correlation == 5)
            #expect(throws: CommandFailure.self) { try reply.result.get() }
            #expect(isCarriedOut.withLockedValue { !$0 })
        }
    }

    @Test func `malformed requests are ignored, and do not stop the others`() async throws {
        let client = self.client()
        try await with(client, self.server()) {
            let socket = try Socket(.dealer, in: Context())
            try socket.connect(self.endpoint)
            try await self.connect(client)
            for frames in [
                [[]], [[1, 2]], [[], [], []], [[UInt8](repeating: 0, count: 16)], Array(repeating: [9], count: 7),
            ] {
                #expect(try socket.send(frames))
            }
            #expect(try await client.call(Double(number: 4)).number == 8)
        }
    }

    @Test func `answers to nobody are ignored by the client`() async throws {
        let client = self.client()
        try await with(client) {
            let socket = try Socket(.router, in: Context())
            try socket.bind(self.endpoint)
            // A busy machine may take longer to connect than a call waits for that.
            async let answer = {
                while true {
                    do {
                        return try await client.call(.auth, "a", body: [1])
                    } catch let failure as CommandFailure where failure.code == .unavailable {}
                }
            }()
            let request = try await Self.message(on: socket)
            let peer = request[0]
            let own = try #require(CommandRequest(frames: request.dropFirst()))
            #expect(own.timeLeft > .zero && own.timeLeft <= .seconds(5))
            for frames in [[], [[1]], CommandReply(correlation: own.correlation &+ 7, result: .success([9])).frames] {
                _ = try socket.send([peer] + frames)
            }
            _ = try socket.send([peer] + CommandReply(correlation: own.correlation, result: .success([2])).frames)
            #expect(try await answer == [2])
        }
    }

    @Test func `many commands at once are all answered`() async throws {
        let client = self.client()
        try await with(client, self.server()) {
            try await self.connect(client)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<5000 {
                    group.addTask {
                        try await client.call(Double(number: number), timeout: .seconds(20)).number == number * 2
                    }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test func `a server that comes back is found again`() async throws {
        let client = self.client()
        try await with(client) {
            for number in 1...3 {
                try await with(self.server()) {
                    try await self.connect(client)
                    let answer = try await client.call(Double(number: number))
                    #expect(answer.number == number * 2)
                }
                let failure = await self.failure { try await client.call(Double(number: 1), timeout: .seconds(1)) }
                #expect(failure?.code == .unavailable || failure?.code == .deadlineExceeded)
            }
        }
    }

    @Test func `one command too many is refused`() async throws {
        let (client, server) = (self.client(), self.server(openMax: 2))
        let (started, gate) = (NIOLockedValueBox(0), NIOLockedValueBox(false))
        server.answer("test.slow", from: .all) { _ in
            started.withLockedValue { $0 += 1 }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return []
        }
        try await with(client, server) {
            try await self.connect(client)
            async let first = client.call(.auth, "test.slow", body: [])
            async let second = client.call(.auth, "test.slow", body: [])
            try await eventually { started.withLockedValue { $0 } == 2 }
            let failure = await self.failure { try await client.call(Double(number: 1)) }
            #expect(failure == CommandFailure(.unavailable, "too many commands"))
            gate.withLockedValue { $0 = true }
            _ = try await (first, second)
            #expect(try await client.call(Double(number: 1)).number == 2)
        }
    }

    @Test func `a server that shuts down answers what it has taken and refuses the rest`() async throws {
        let (client, server) = (self.client(), self.server())
        let (started, gate) = (NIOLockedValueBox(false), NIOLockedValueBox(false))
        server.answer("test.slow", from: .all) { _ in
            started.withLockedValue { $0 = true }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return [1]
        }
        try await with(client) {
            let group = ServiceGroup(services: [server], logger: quiet)
            async let running: Void = group.run()
            try await self.connect(client)
            async let slow = client.call(.auth, "test.slow", body: [])
            try await eventually { started.withLockedValue { $0 } }
            await group.triggerGracefulShutdown()
            let isRefused = NIOLockedValueBox(false)
            let deadline = ContinuousClock.now + .seconds(4)
            while !isRefused.withLockedValue({ $0 }), ContinuousClock.now < deadline {
                let failure = await self.failure { try await client.call(Double(number: 1)) }
                isRefused.withLockedValue { $0 = failure?.code == .unavailable }
            }
            #expect(isRefused.withLockedValue { $0 })
            gate.withLockedValue { $0 = true }
            #expect(try await slow == [1])
            try await running
        }
    }

    @Test func `a shutdown leaves no call hanging`() async throws {
        let (client, server) = (self.client(), self.server())
        let started = NIOLockedValueBox(false)
        server.answer("test.never", from: .all) { _ in
            started.withLockedValue { $0 = true }
            try await Task.sleep(for: .seconds(60))
            return []
        }
        let group = ServiceGroup(services: [client], logger: quiet)
        let serverRun = Task { try await server.run() }
        async let running: Void = group.run()
        try await self.connect(client)
        async let hanging = self.failure { try await client.call(.auth, "test.never", body: [], timeout: .seconds(50)) }
        try await eventually { started.withLockedValue { $0 } }
        await group.triggerGracefulShutdown()
        #expect(await hanging?.code == .unavailable)
        try await running
        #expect(await self.failure { try await client.call(Double(number: 1)) }?.code == .unavailable)
        serverRun.cancel()
        try await serverRun.value
    }

    @Test func `a cancelled call ends at once`() async throws {
        let client = self.client()
        try await with(client) {
            let call = Task { try await client.call(.auth, "a", body: [], timeout: .seconds(60)) }
            call.cancel()
            await #expect(throws: CommandFailure.self) { try await call.value }
        }
    }

    @Test func `an address that is none ends the client, and no call waits for it`() async throws {
        let client = CommandClient(
            endpoints: [.auth: BusEndpoints(events: "", commands: "tcp://nonsense")], logger: quiet)
        await #expect(throws: BusError.self) { try await client.run() }
        #expect(await self.failure { try await client.call(Double(number: 1)) }?.code == .unavailable)
    }

    @Test func `a taken port is an error`() async throws {
        let client = self.client()
        try await with(client, self.server()) {
            try await self.connect(client)
            await #expect(throws: BusError.self) { try await self.server().run() }
        }
    }

    private static func message(on socket: Socket) async throws -> [[UInt8]] {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if let frames = try socket.receive() { return frames }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw CommandFailure(.deadlineExceeded, "no message")
    }

    private static func reply(on socket: Socket) async throws -> CommandReply {
        try #require(CommandReply(frames: try await Self.message(on: socket)))
    }
}
