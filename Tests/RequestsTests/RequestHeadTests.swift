import Testing

@testable import Requests

@Suite struct RequestHeadTests {
    private struct NotComplete: Error {}

    private let plain =
        "GET /ws?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"

    private func parse(_ text: String) -> RequestHead.Progress { RequestHead.parse(Array(text.utf8)) }

    private func head(_ text: String) throws -> RequestHead {
        guard case .complete(let head) = self.parse(text) else { throw NotComplete() }
        return head
    }

    @Test func `a request is read, with what comes behind it`() throws {
        let head = try self.head(self.plain + "\u{01}frame")
        #expect(head.method == "GET")
        #expect(head.target == "/ws?a=b")
        #expect(head.headers == ["host": "x", "upgrade": "WebSocket", "connection": "keep-alive, Upgrade"])
        #expect(head.leftover == Array("\u{01}frame".utf8))
        #expect(head.header("connection", contains: "upgrade"))
        #expect(head.header("upgrade", contains: "websocket"))
        #expect(!head.header("connection", contains: "up"))
        #expect(!head.header("absent", contains: "upgrade"))
    }

    @Test func `until its empty line a request is incomplete, however it is cut`() {
        let bytes = Array(self.plain.utf8)
        for count in 0..<bytes.count {
            #expect(RequestHead.parse(Array(bytes[..<count]), searched: max(0, count - 1)) == .incomplete)
            #expect(RequestHead.parse(bytes, searched: count) == RequestHead.parse(bytes))
        }
    }

    @Test func `the values of a repeated field are joined, and blanks around them go`() throws {
        let head = try self.head(
            "GET / HTTP/1.1\r\nX-Forwarded-For:  a \r\nHost:x\r\nx-forwarded-for:\tb\r\nEmpty:\r\n\r\n")
        #expect(head.headers == ["x-forwarded-for": "a, b", "host": "x", "empty": ""])
    }

    @Test(arguments: [
        "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/2\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n", " GET / HTTP/1.1\r\n\r\n", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\u{212A}: x\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\n: empty\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n c: folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHo\tst: x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \u{0}\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHö: x\r\n\r\n", "GET / HTTP/1.1\r\nA(b): x\r\n\r\n",
        "GET /\n HTTP/1.1\r\n\r\n",
    ])
    func `what is malformed, or two readers may understand differently, is refused`(text: String) {
        #expect(self.parse(text) == .malformed)
    }

    @Test func `a value may be in any encoding, a name may not`() {
        let head = Array("GET / HTTP/1.1\r\nHost: x\r\nA".utf8)
        guard case .complete = RequestHead.parse(head + Array(": ".utf8) + [0xFF] + Array("\r\n\r\n".utf8)) else {
            return #expect(Bool(false))
        }
        #expect(RequestHead.parse(head + [0xFF] + Array(": x\r\n\r\n".utf8)) == .malformed)
    }

    @Test(arguments: [
        ("http://x:3000/ws?a=b", "/ws?a=b"), ("HTTP://x", "/"), ("https://x?a=b", "/?a=b"), ("/ws", "/ws"),
    ])
    func `a target may name the server, and an empty line may stand in front`(target: String, path: String) throws {
        #expect(try self.head("\r\nGET \(target) HTTP/1.1\r\nHost: x\r\n\r\n").target == path)
    }

    @Test func `a letter that only looks like one is another`() throws {
        let head = try self.head("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websoc\u{212A}et\r\n\r\n")
        #expect(!head.header("upgrade", contains: "websocket"))
    }

    @Test func `a head is 16 KiB at most`() throws {
        let frame = "GET / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".utf8.count
        func text(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: x\r\nA: \(String(repeating: "x", count: count - frame))\r\n\r\n"
        }
        #expect(try self.head(text(RequestHead.bytesMax)).headers["a"]?.count == RequestHead.bytesMax - frame)
        #expect(self.parse(text(RequestHead.bytesMax + 1)) == .tooLong)
        #expect(self.parse(String(repeating: "x", count: RequestHead.bytesMax)) == .incomplete)
        #expect(self.parse(String(repeating: "x", count: RequestHead.bytesMax + 1)) == .tooLong)
        // What comes behind the head does not count.
        #expect(try self.head(self.plain + String(repeating: "f", count: 20_000)).leftover.count == 20_000)
    }
}
