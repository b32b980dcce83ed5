import Glibc
import TestSupport
import Testing
import Threads

/// The clients that other tests rely on, against bytes as a server may send them.
@Suite struct TestClientTests {
    private static let answer = Array(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait".utf8)

    @Test func `an HTTP answer comes with status, headers and body`() async throws {
        try await Self.withServer(answering: Self.answer) { port in
            let answer = try await HTTPClient.request("POST", port: port, path: "/x", body: Array("{}".utf8))
            #expect(answer.status == 429)
            #expect(answer.headers["retry-after"] == "7")
            #expect(answer.body == Array("wait".utf8))
        }
    }

    @Test func `a refused handshake is thrown with all that was answered`() async throws {
        try await Self.withServer(answering: Self.answer) { port in
            let refused = await #expect(throws: WebSocketRefused.self) {
                try await WebSocketClient.connect(port: port)
            }
            #expect(refused?.status == 429)
            #expect(refused?.headers["retry-after"] == "7")
            #expect(refused?.body == Array("wait".utf8))
        }
    }

    @Test func `what does not come in time is thrown as such`() async throws {
        try await TestServer.with { server in
            let client = try await server.connect()
            await #expect(throws: WebSocketClientError.timedOut) {
                try await client.nextText(within: .milliseconds(20))
            }
            try await client.send(text: "still here")
            #expect(try await client.nextText() == "still here")
        }
    }

    /// Answers one connection.
    private static func withServer(answering bytes: [UInt8], _ body: (Int) async throws -> Void) async throws {
        let (listener, port) = TestServer.listen()
        let thread = WorkerThread(name: "canned") {
            let descriptor = accept(listener, nil, nil)
            _ = TestServer.readHead(descriptor)
            _ = write(descriptor, bytes, bytes.count)
            shutdown(descriptor, Int32(SHUT_WR))
            var rest = [UInt8](repeating: 0, count: 1024)
            while read(descriptor, &rest, rest.count) > 0 {}
            close(descriptor)
        }
        try await body(port)
        shutdown(listener, Int32(SHUT_RDWR))
        await thread.join()
        close(listener)
    }
}
