import NIOCore

/// What a client has received and who waits for it; all on the channel's event loop.
final class WebSocketClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Items that came and promises of items to come; one of the two is empty.
    private final class Line<Item: Sendable> {
        var items = CircularBuffer<Item>()
        var waiting: [EventLoopPromise<Item>] = []

        func put(_ item: Item) {
            if self.waiting.isEmpty { self.items.append(item) } else { self.waiting.removeFirst().succeed(item) }
        }

        func fail(_ error: any Error) {
            for promise in self.waiting { promise.fail(error) }
            self.waiting = []
        }
    }

    private let eventLoop: any EventLoop
    private let answersPings: Bool
    private var received = ByteBuffer()
    private var shaken: EventLoopPromise<[String: String]>?
    private var isOpen = false
    private var message: [UInt8] = []
    private let texts = Line<String>()
    private let pongs = Line<[UInt8]>()
    private let closings = Line<(code: UInt16, reason: String)>()
    private var end: (code: UInt16, reason: String)?
    private(set) var pings = 0

    init(eventLoop: any EventLoop, answersPings: Bool) {
        self.eventLoop = eventLoop
        self.answersPings = answersPings
    }

    /// Gives the headers of the 101.
    func handshake() -> EventLoopFuture<[String: String]> {
        let promise = self.eventLoop.makePromise(of: [String: String].self)
        self.shaken = promise
        let timeout = self.eventLoop.scheduleTask(in: .seconds(10)) { promise.fail(WebSocketClientError.timedOut) }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        return promise.futureResult
    }

    func nextText(within time: TimeAmount) -> EventLoopFuture<String> { self.next(self.texts, time) }
    func nextPong(within time: TimeAmount) -> EventLoopFuture<[UInt8]> { self.next(self.pongs, time) }

    func closing(within time: TimeAmount) -> EventLoopFuture<(code: UInt16, reason: String)> {
        if let end = self.end { return self.eventLoop.makeSucceededFuture(end) }
        return self.next(self.closings, time)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        if !self.isOpen { self.readAnswer(context, atEnd: false) }
        guard self.isOpen else { return }
        while let frame = WebSocketFrames.read(&self.received) {
            self.take(frame.opcode, frame.isLast, frame.payload, context)
        }
        self.received.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.isOpen { self.readAnswer(context, atEnd: true) }
        self.finish((1006, ""))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func take(_ opcode: UInt8, _ isLast: Bool, _ payload: [UInt8], _ context: ChannelHandlerContext) {
        switch opcode {
        case 8:
            let code = payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : 1005
            self.finish((code, String(decoding: payload.dropFirst(2), as: UTF8.self)))
            self.write(WebSocketFrames.masked(opcode: 8, Array(payload.prefix(2))), context)
            context.close(promise: nil)
        case 9:
            self.pings += 1
            if self.answersPings { self.write(WebSocketFrames.masked(opcode: 10, payload), context) }
        case 10:
            self.pongs.put(payload)
        default:
            self.message += payload
            guard isLast else { return }
            self.texts.put(String(decoding: self.message, as: UTF8.self))
            self.message = []
        }
    }

    private func readAnswer(_ context: ChannelHandlerContext, atEnd: Bool) {
        guard let shaken = self.shaken else { return }
        let bytes = self.received.readableBytesView
        guard let headEnd = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            if atEnd { self.settle(shaken.fail(WebSocketClientError.notHTTP)) }
            return
        }
        let lines = String(decoding: bytes[..<headEnd.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            return self.settle(shaken.fail(WebSocketClientError.notHTTP))
        }
        let headers = Self.headers(lines.dropFirst())
        if status == 101 {
            self.received.moveReaderIndex(to: headEnd.upperBound)
            self.isOpen = true
            return self.settle(shaken.succeed(headers))
        }
        let body = Array(bytes[headEnd.upperBound...])
        guard atEnd || headers["content-length"].flatMap({ Int($0) }).map({ body.count >= $0 }) ?? false else { return }
        self.settle(shaken.fail(WebSocketRefused(status: status, headers: headers, body: body)))
        context.close(promise: nil)
    }

    private static func headers(_ lines: ArraySlice<Substring>) -> [String: String] {
        var headers: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
        return headers
    }

    private func settle(_: Void) {
        self.shaken = nil
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }

    private func finish(_ end: (code: UInt16, reason: String)) {
        guard self.end == nil else { return }
        self.end = end
        let error = WebSocketClientError.closed(code: end.code, reason: end.reason)
        self.texts.fail(error)
        self.pongs.fail(error)
        for promise in self.closings.waiting { promise.succeed(end) }
        self.closings.waiting = []
    }

    private func next<Item>(_ line: Line<Item>, _ time: TimeAmount) -> EventLoopFuture<Item> {
        if let item = line.items.popFirst() { return self.eventLoop.makeSucceededFuture(item) }
        if let end = self.end {
            return self.eventLoop.makeFailedFuture(WebSocketClientError.closed(code: end.code, reason: end.reason))
        }
        let promise = self.eventLoop.makePromise(of: Item.self)
        line.waiting.append(promise)
        let result = promise.futureResult
        let bound = NIOLoopBound(line, eventLoop: self.eventLoop)
        let timeout = self.eventLoop.scheduleTask(in: time) {
            // One that was given up must not swallow the next item.
            bound.value.waiting.removeAll { $0.futureResult === result }
            promise.fail(WebSocketClientError.timedOut)
        }
        result.whenComplete { _ in timeout.cancel() }
        return result
    }
}
