/// One WebSocket connection of a loop, on the loop's thread.
public final class Connection {
    enum State {
        case open
        /// A CLOSE frame is queued; what is queued before it still goes out.
        case closing
        /// What is queued still goes out, and then TCP ends.
        case finishing
        /// The CLOSE frame is with libwebsockets; the client's, or the end of its TCP, is awaited.
        case closeSent
        /// Nothing more may be sent. The closed callback follows.
        case ended
        /// libwebsockets has freed the socket, or is about to.
        case gone
    }

    public let id: ConnectionID
    /// The owner's own object for this client. Let go after `closed`.
    public var userData: AnyObject?

    // Safe: a loop outlives its connections, which nobody else holds on to; and it is asked for each thing that is sent.
    private unowned(unsafe) let loop: LoopContext
    private let socket: LibwebsocketsSocket
    /// A longer message closes the connection with 1009; more of it is not kept.
    public var messageBytesMax: Int
    private var message: [UInt8] = []
    private var queue = OutboundQueue()
    private var hasProgressed = false
    /// How often some of what was queued has been handed to the socket.
    private var writes: UInt64 = 0
    /// Why nothing is read from the client.
    private var pauses: Set<Pause> = []
    private(set) var state = State.open
    /// It is on the loop's list of connections that have something to write.
    var isDirty = false
    /// Timers of its own that are set, or were.
    private var timers = TimerKinds()

    private enum Pause {
        case replies
        case owner
    }

    /// While more than so many bytes of frames for this client alone wait, nothing is read from it: it is not given more answers than it
    /// takes, and TCP holds its messages back. What one message's answer is may still be added.
    public static let replyBytesMax = 64 * 1024

    init(id: ConnectionID, loop: LoopContext, socket: LibwebsocketsSocket, messageBytesMax: Int) {
        self.id = id
        self.loop = loop
        self.socket = socket
        self.messageBytesMax = messageBytesMax
    }

    /// Bytes that wait here, without what libwebsockets holds of its last write.
    public var queuedBytes: Int { self.queue.bytes }
    public var queuedFrames: Int { self.queue.frames }
    /// It takes nothing more to send; what it receives is ignored.
    public var isClosing: Bool { self.state != .open }

    /// Nothing is read, since too many replies wait to be taken.
    public var isPausedForReplies: Bool { self.pauses.contains(.replies) }

    /// Stops reading from the client, for an owner that holds enough of its messages. No message, pong or CLOSE frame comes
    /// meanwhile, so it must be for a short time only.
    public func pauseReading() { self.pause(.owner) }

    /// Reads again, if nothing else is against it.
    public func resumeReading() { self.unpause(.owner) }

    /// How long ago anything came from the client, control frames and parts of messages included; `nil`: the system does not say.
    public var timeSinceReceived: Duration? { self.state == .gone ? nil : self.socket.timeSinceReceived }

    /// Grows as the client takes what it is sent: the bytes that its TCP has taken, or where the system does not say, with TLS, the
    /// number of writes.
    public var progress: UInt64 {
        (self.state == .gone ? nil : self.socket.bytesAcknowledged) ?? self.writes
    }

    /// Queues frames of this loop's log. They go out at the end of the turn.
    public func send(_ range: FrameRange) {
        guard self.state == .open else { return }
        self.queue.append(range)
        self.loop.mark(self)
    }

    /// Takes out of the queue what a newer frame makes superfluous and, if it still holds more than that, what it can do without.
    public func shed(downTo limit: (frames: Int, bytes: Int)) -> Shedding { self.queue.shed(downTo: limit) }

    /// The numbers of the tagged frames that wait here.
    public var queuedNumbers: [UInt64] { self.queue.numbers }
    /// The numbers of those that were never sent, when it has ended.
    public private(set) var unsentNumbers: [UInt64] = []

    /// Whether anything was sent since this was last asked.
    public func takeProgress() -> Bool {
        defer { self.hasProgressed = false }
        return self.hasProgressed
    }

    /// Queues a text frame for this client alone.
    public func send(text: some Collection<UInt8>) {
        guard self.state == .open else { return }
        self.queue.append(private: self.loop.encodePrivate(.text, text))
        self.loop.mark(self)
        if self.queue.privateBytes > Self.replyBytesMax { self.pause(.replies) }
    }

    /// Queues a PING; `ponged` tells of the answer.
    public func ping() {
        guard self.state == .open else { return }
        // libwebsockets does not tell of a pong without a payload.
        self.queue.append(private: self.loop.encodePrivate(.ping, "ping".utf8))
        self.loop.mark(self)
    }

    /// Sends what is queued (or discards it), then a CLOSE frame, and ends the connection when the client has answered, at the
    /// latest 5 seconds from now or 2 seconds after the CLOSE frame. No timer of the owner fires any more.
    public func close(code: UInt16, reason: String, discardingQueue: Bool = false) {
        guard self.state == .open else { return }
        if discardingQueue { self.discardQueue() }
        let payload = [UInt8(code >> 8), UInt8(code & 0xff)] + Self.reasonBytes(reason)
        self.queue.append(private: self.loop.encodePrivate(.close, payload))
        self.loop.mark(self)
        self.readToTheEnd()
        self.state = .closing
        self.message = []
        self.cancelTimers()
        self.scheduleCloseDeadline(after: .seconds(5))
    }

    /// Sends what is queued, then ends the TCP connection without a CLOSE frame, at the latest 2 seconds from now; clients report 1006.
    public func finish() {
        guard self.state == .open else { return }
        self.readToTheEnd()
        self.state = .finishing
        self.message = []
        self.cancelTimers()
        self.scheduleCloseDeadline(after: .seconds(2))
        self.loop.mark(self)
    }

    /// Ends the TCP connection without a CLOSE frame, soon; clients report 1006. `closed` follows.
    public func drop() {
        self.cancelTimers()
        self.discardQueue()
        guard self.state != .gone else { return }
        self.socket.end()
        self.state = .ended
    }

    /// Sets the timer `kind`, or moves it. It fires once, never early and at most some 10 ms late on a loop that keeps up.
    public func schedule(_ kind: TimerKind, after delay: Duration) {
        precondition(kind != .closeDeadline, "timer 15 is the library's")
        guard self.state == .open else { return }
        self.timers.insert(kind)
        self.loop.schedule(kind, for: self, after: delay)
    }

    public func cancel(_ kind: TimerKind) {
        precondition(kind != .closeDeadline, "timer 15 is the library's")
        self.loop.cancel(kind, for: self)
    }

    /// The reason as far as it fits into a control frame, cut between characters.
    private static func reasonBytes(_ reason: String) -> [UInt8] {
        var reason = reason
        while reason.utf8.count > 123 { reason.removeLast() }
        return Array(reason.utf8)
    }

    private func pause(_ pause: Pause) {
        guard self.state == .open else { return }
        if self.pauses.isEmpty { self.socket.setReading(false) }
        self.pauses.insert(pause)
    }

    private func unpause(_ pause: Pause) {
        guard self.state == .open, self.pauses.remove(pause) != nil, self.pauses.isEmpty else { return }
        self.socket.setReading(true)
    }

    /// What comes is ignored from now on; only by reading is the client's CLOSE frame, or the end of its TCP, noticed.
    private func readToTheEnd() {
        guard !self.pauses.isEmpty else { return }
        self.pauses = []
        self.socket.setReading(true)
    }

    private func discardQueue() {
        self.unsentNumbers += self.queue.numbers
        self.queue.removeAll()
    }

    private func cancelTimers() {
        for kind in self.timers { self.loop.cancel(kind, for: self) }
        self.timers = TimerKinds()
    }
}

// What the loop does with it.
extension Connection {
    /// Makes one write, of whole frames up to `max` bytes together. `false`: the socket is broken.
    func write(max: Int, scratch: UnsafeMutableRawBufferPointer) -> Bool {
        switch self.state {
        case .open, .closing, .finishing: break
        case .closeSent, .ended, .gone: return true
        }
        // After a partial write the writable callback comes unasked.
        guard !self.socket.holdsPartialWrite else { return true }
        if !self.queue.isEmpty {
            self.hasProgressed = true
            self.writes &+= 1
        }
        // Before and after: what libwebsockets could not send at once waits as well.
        self.resumeIfRepliesAreTaken()
        guard self.queue.take(max: max, scratch: scratch, self.socket.write) ?? true else { return false }
        self.resumeIfRepliesAreTaken()
        if !self.queue.isEmpty {
            if !self.socket.holdsPartialWrite { self.socket.requestWritable() }
        } else if self.state == .closing {
            self.state = .closeSent
            self.scheduleCloseDeadline(after: .seconds(2))
        } else if self.state == .finishing, !self.socket.holdsPartialWrite {
            self.drop()
        }
        return true
    }

    private func resumeIfRepliesAreTaken() {
        guard self.isPausedForReplies, self.queue.privateBytes <= Self.replyBytesMax / 2,
            !self.socket.holdsPartialWrite
        else { return }
        self.unpause(.replies)
    }

    /// Counts what waits here at the chunks that it lies in.
    func countWaiting() { self.queue.countWaiting() }

    /// Copies what waits here out of chunks that are kept for little.
    func repack(in memory: FrameMemory) { self.queue.repack(in: memory) }

    /// Collects a fragment. Gives the message if it is whole now.
    func receive(_ fragment: Fragment) -> [UInt8]? {
        guard self.state == .open else { return nil }
        guard self.message.count + fragment.bytes.count <= self.messageBytesMax else {
            self.close(code: 1009, reason: "message too big")
            return nil
        }
        if self.message.isEmpty, fragment.isLast { return Array(fragment.bytes) }
        self.message.append(contentsOf: fragment.bytes)
        guard fragment.isLast else { return nil }
        defer { self.message = [] }
        return self.message
    }

    /// The client sent a CLOSE frame. `true`: it answers ours, so the connection can end; else libwebsockets answers it.
    func peerCloses() -> Bool {
        let isAnswer = self.state == .closeSent
        self.ending()
        if !isAnswer { self.scheduleCloseDeadline(after: .seconds(2)) }
        return isAnswer
    }

    /// libwebsockets has begun to close it.
    func ending() {
        self.cancelTimers()
        self.discardQueue()
        self.message = []
        self.state = .ended
    }

    /// libwebsockets has closed it.
    func closed() {
        self.ending()
        self.state = .gone
    }

    private func scheduleCloseDeadline(after delay: Duration) {
        self.timers.insert(.closeDeadline)
        self.loop.schedule(.closeDeadline, for: self, after: delay)
    }
}
