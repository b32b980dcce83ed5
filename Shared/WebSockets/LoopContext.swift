/// A loop as its handler sees it, on the loop's thread: adopts connections, finds them, encodes what they share.
public final class LoopContext {
    private struct TimerKey: Hashable {
        let connection: ConnectionID
        let kind: TimerKind
    }

    /// What one connection is given at once: in its turn, and when it catches up, where the rest would be copied.
    private static let writeBytesMax = 256 * 1024
    private static let catchUpBytesMax = 128 * 1024
    private static let tickMicroseconds: UInt64 = 10_000

    private let libwebsockets: LibwebsocketsContext
    private let handler: any LoopHandler
    private let drain: () -> Bool

    private var connections: [ConnectionID: Connection] = [:]
    private var adopting: Upgrade?
    private let memory: FrameMemory
    private var log: FrameLog
    /// Frames for one client each, apart so that those for many stay adjacent.
    private var privateLog: FrameLog
    private var dirty: [Connection] = []
    private var isTurnEndScheduled = false
    private var isStopping = false
    private var wheel: TimerWheel<TimerKey>
    private var wheelScheduled: UInt64?
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: writeBytesMax, alignment: 16)

    /// - Parameter drain: gives the handler what is in the mailbox; `true`: the loop is to stop.
    init(_ libwebsockets: LibwebsocketsContext, handler: any LoopHandler, drain: @escaping () -> Bool) {
        self.libwebsockets = libwebsockets
        self.handler = handler
        self.drain = drain
        self.wheel = TimerWheel(now: LibwebsocketsContext.now / Self.tickMicroseconds)
        self.memory = FrameMemory()
        self.log = FrameLog(memory: self.memory)
        self.privateLog = FrameLog(memory: self.memory, isPrivate: true)
    }

    deinit { self.scratch.deallocate() }

    /// How many connections are open or closing.
    public var connectionCount: Int { self.connections.count }

    public func connection(_ id: ConnectionID) -> Connection? { self.connections[id] }

    /// Takes a connection over and sends its 101. `nil`: that failed and the descriptor is closed; the handler hears nothing.
    /// Only from `received`: what came with the handshake is read when that has returned.
    public func adopt(_ upgrade: Upgrade) -> ConnectionID? {
        precondition(self.adopting == nil, "adopt called from within adopt")
        guard let request = upgrade.canonicalRequest else {
            LibwebsocketsSocket.close(descriptor: upgrade.descriptor)
            return nil
        }
        self.adopting = upgrade
        let socket = self.libwebsockets.adopt(upgrade.descriptor, request)
        guard self.adopting != nil else { return upgrade.id }
        self.adopting = nil
        socket?.end()
        return nil
    }

    /// Encodes a text frame into the loop's log, to be sent to any number of its connections. All frames have tags, or none.
    public func append(_ payload: some Collection<UInt8>, tag: FrameTag? = nil) -> FrameRange {
        self.log.append(.text, payload, tag: tag)
    }

    func encodePrivate(_ opcode: Opcode, _ payload: some Collection<UInt8>) -> FrameRange {
        self.privateLog.append(opcode, payload)
    }

    /// Has `connection` written at the end of the turn.
    func mark(_ connection: Connection) {
        self.scheduleTurnEnd()
        guard !connection.isDirty else { return }
        connection.isDirty = true
        self.dirty.append(connection)
    }

    func schedule(_ kind: TimerKind, for connection: Connection, after delay: Duration) {
        let (seconds, attoseconds) = delay.components
        let microseconds = UInt64(max(0, seconds)) * 1_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000_000
        let tick = (LibwebsocketsContext.now + microseconds).roundedUp(to: Self.tickMicroseconds)
        self.wheel.schedule(TimerKey(connection: connection.id, kind: kind), at: tick)
        self.scheduleWheel()
    }

    func cancel(_ kind: TimerKind, for connection: Connection) {
        self.wheel.cancel(TimerKey(connection: connection.id, kind: kind))
    }

    private func scheduleTurnEnd() {
        guard !self.isTurnEndScheduled else { return }
        self.isTurnEndScheduled = true
        self.libwebsockets.scheduleTurnEnd()
    }

    private func scheduleWheel() {
        guard let next = self.wheel.nextTick, next < self.wheelScheduled ?? .max else { return }
        self.wheelScheduled = next
        self.libwebsockets.scheduleWheel(at: next * Self.tickMicroseconds)
    }
}

// What libwebsockets calls.
extension LoopContext {
    func attach() {
        self.handler.attached(to: self)
    }

    func woken() {
        self.scheduleTurnEnd()
        guard self.drain() else { return }
        self.isStopping = true
        for connection in self.connections.values { connection.close(code: 1001, reason: "going away") }
        self.flush()
        for connection in self.connections.values { connection.drop() }
        self.stopIfDone()
    }

    private func stopIfDone() {
        if self.isStopping, self.connections.isEmpty { self.libwebsockets.stop() }
    }

    /// Header lines for the 101 of the connection that is being adopted.
    var handshakeHeaders: [UInt8] {
        self.adopting?.subprotocol.map { Array("Sec-WebSocket-Protocol: \($0)\r\n".utf8) } ?? []
    }

    func established(_ socket: LibwebsocketsSocket) -> ConnectionID? {
        guard let upgrade = self.adopting else { return nil }
        self.adopting = nil
        let connection = Connection(
            id: upgrade.id, loop: self, socket: socket, messageBytesMax: upgrade.messageBytesMax)
        let previous = self.connections.updateValue(connection, forKey: upgrade.id)
        precondition(previous == nil, "two connections with the id \(upgrade.id)")
        self.scheduleTurnEnd()
        self.handler.opened(connection)
        return upgrade.id
    }

    func received(_ fragment: Fragment, from id: ConnectionID) {
        guard let connection = self.connections[id], let message = connection.receive(fragment) else { return }
        self.scheduleTurnEnd()
        if fragment.isBinary {
            self.handler.binary(message, from: connection)
        } else {
            self.handler.text(message, from: connection)
        }
    }

    func ponged(_ id: ConnectionID) {
        guard let connection = self.connections[id], !connection.isClosing else { return }
        self.scheduleTurnEnd()
        self.handler.ponged(connection)
    }

    func peerCloses(_ id: ConnectionID) -> Bool {
        guard let connection = self.connections[id] else { return true }
        // What was answered before the CLOSE frame was read goes out before its answer.
        if connection.state == .open { _ = connection.write(max: Self.writeBytesMax, scratch: self.scratch) }
        return connection.peerCloses()
    }

    func ending(_ id: ConnectionID) {
        self.connections[id]?.ending()
    }

    func closed(_ id: ConnectionID) {
        guard let connection = self.connections.removeValue(forKey: id) else { return }
        connection.closed()
        self.scheduleTurnEnd()
        self.handler.closed(connection)
        // The owner's object may refer to the connection in turn.
        connection.userData = nil
        self.stopIfDone()
    }

    /// `false`: the connection is broken.
    func writable(_ id: ConnectionID) -> Bool {
        self.connections[id]?.write(max: Self.catchUpBytesMax, scratch: self.scratch) ?? true
    }

    func endTurn() {
        self.handler.turnEnded()
        self.isTurnEndScheduled = false
        self.flush()
        if self.memory.isSweepDue { self.repack() }
    }

    /// Has queues that do not move copy what they hold of chunks that nearly nobody waits for: otherwise a client that is stuck keeps
    /// a whole chunk for each of its frames. It costs as much as there are ranges that wait, and is due only when the logs have doubled.
    private func repack() {
        self.memory.beginSweep()
        let waiting = self.connections.values.filter { $0.queuedBytes > 0 }
        for connection in waiting { connection.countWaiting() }
        for connection in waiting { connection.repack(in: self.memory) }
        self.memory.endSweep()
    }

    func wheelDue() {
        self.wheelScheduled = nil
        for key in self.wheel.advance(to: LibwebsocketsContext.now / Self.tickMicroseconds) {
            // An earlier one of the batch may have ended it.
            guard let connection = self.connections[key.connection] else { continue }
            if key.kind == .closeDeadline {
                connection.drop()
            } else if !connection.isClosing {
                self.handler.fired(key.kind, for: connection)
            }
        }
        self.scheduleWheel()
        self.scheduleTurnEnd()
    }

    private func flush() {
        var connections: [Connection] = []
        swap(&connections, &self.dirty)
        for connection in connections {
            connection.isDirty = false
            if !connection.write(max: Self.writeBytesMax, scratch: self.scratch) { connection.drop() }
        }
    }
}

extension UInt64 {
    /// In units of `unit`.
    fileprivate func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) / unit }
}
