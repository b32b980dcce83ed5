import Glibc
import NIOConcurrencyHelpers
import Threads

/// Takes one TCP connection, answers what a test wants, once it was asked something, or nothing, and waits for the client to end it.
final class SilentServer: Sendable {
    enum State: Sendable, Equatable { case waiting, connected(Int32), ended }

    let port: Int
    private let state = NIOLockedValueBox(State.waiting)

    /// - Parameter ends: whether it says that nothing more will come.
    static func with(
        answering answer: String = "", ends: Bool = false, _ body: (SilentServer) async throws -> Void
    ) async throws {
        let (listener, port) = TestServer.listen()
        let server = SilentServer(port)
        let thread = WorkerThread(name: "silent") { server.serve(listener, Array(answer.utf8), ends) }
        do {
            try await body(server)
        } catch {
            await server.stop(listener, thread)
            throw error
        }
        await server.stop(listener, thread)
    }

    private func stop(_ listener: Int32, _ thread: WorkerThread) async {
        shutdown(listener, Int32(SHUT_RDWR))
        // A client that never ended it.
        self.state.withLockedValue {
            if case .connected(let descriptor) = $0 { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        await thread.join()
        close(listener)
    }

    private init(_ port: Int) { self.port = port }

    private func serve(_ listener: Int32, _ answer: [UInt8], _ ends: Bool) {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        self.state.withLockedValue { $0 = .connected(descriptor) }
        if ends {
            _ = TestServer.readHead(descriptor)
            _ = write(descriptor, answer, answer.count)
            shutdown(descriptor, Int32(SHUT_WR))
        }
        var rest = [UInt8](repeating: 0, count: 1024)
        while read(descriptor, &rest, rest.count) > 0 {}
        self.state.withLockedValue { $0 = .ended }
        close(descriptor)
    }

    var isConnected: Bool { if case .connected = self.state.withLockedValue({ $0 }) { true } else { false } }
    var hasEnded: Bool { self.state.withLockedValue { $0 == .ended } }

    /// Waits until `condition` holds; `false` after 10 seconds.
    func eventually(_ condition: (SilentServer) -> Bool) async -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if condition(self) { return true }
            // A poll's interval. It ends early only if the test is cancelled.
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }
}
