import NIOCore
import NIOHTTP1
import NIOPosix

/// One HTTP/1.1 request per connection, for tests.
public enum HTTPClient {
    /// Header names of the answer are in lower case; several `set-cookie` are one, with line ends between them.
    public typealias Answer = (status: Int, headers: [String: String], body: [UInt8])

    /// - Parameter preamble: goes out before anything else.
    public static func request(
        _ method: String, host: String = "127.0.0.1", port: Int, path: String, headers: [(String, String)] = [],
        body: [UInt8] = [], preamble: [UInt8] = [], within time: Duration = .seconds(30)
    ) async throws -> Answer {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let (channel, answer) = try await bootstrap.connect(host: host, port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                let promise = channel.eventLoop.makePromise(of: Answer.self)
                try channel.pipeline.syncOperations.addHandler(Preamble(preamble))
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                try channel.pipeline.syncOperations.addHandler(AnswerCollector(promise))
                let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(time)) {
                    promise.fail(HTTPClientTimedOut())
                    channel.close(promise: nil)
                }
                promise.futureResult.whenComplete { _ in timeout.cancel() }
                return (channel, promise.futureResult)
            }
        }
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: path)
        head.headers = HTTPHeaders(headers)
        if !head.headers.contains(name: "host") { head.headers.add(name: "host", value: "\(host):\(port)") }
        if !head.headers.contains(name: "connection") { head.headers.add(name: "connection", value: "close") }
        if !body.isEmpty || ["POST", "PUT", "PATCH"].contains(method) {
            head.headers.replaceOrAdd(name: "content-length", value: "\(body.count)")
        }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if !body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        let result = try await answer.get()
        // The server may have closed it already.
        try? await channel.close()
        return result
    }
}

public struct HTTPClientTimedOut: Error {}

/// Puts an answer together; fails if the connection ends before.
private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPClient.Answer>
    private var answer: HTTPClient.Answer = (0, [:], [])

    init(_ promise: EventLoopPromise<HTTPClient.Answer>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            self.answer.status = Int(head.status.code)
            for (name, value) in head.headers {
                let name = name.lowercased()
                // The one field that cannot be one line (RFC 9110 §5.3).
                let earlier = name == "set-cookie" ? self.answer.headers[name].map { "\($0)\n" } ?? "" : ""
                self.answer.headers[name] = earlier + value
            }
        case .body(let bytes): self.answer.body += bytes.readableBytesView
        case .end: self.promise.succeed(self.answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.promise.fail(ChannelError.eof)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise.fail(error)
        context.close(promise: nil)
    }
}
