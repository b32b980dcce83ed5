import Glibc
import NIOConcurrencyHelpers
import Threads

/// Writes log lines to a descriptor on a thread of its own, so that nobody who logs waits for whoever reads the log.
///
/// Lines that do not fit into its buffer are dropped and counted; a line of its own says how many when the log can be written again.
final class LogWriter: Sendable {
    private struct State {
        /// Whole lines that wait.
        var lines: [UInt8] = []
        /// What was taken out of `lines` and is not written yet.
        var unwritten = 0
        /// Somebody writes; the others leave it to them.
        var isWriting = false
        /// Lines that were dropped and that no line has told of.
        var dropped = 0
        /// Raised when everything is written.
        var flushing: [WakeSignal] = []

        var isEmpty: Bool { self.lines.isEmpty && !self.isWriting && self.dropped == 0 }
    }

    /// What one writer has claimed.
    private struct Taken {
        let lines: [UInt8]
        let dropped: Int
    }

    private let descriptor: Int32
    private let bytesMax: Int
    private let notice: @Sendable (_ dropped: Int) -> [UInt8]
    private let state = NIOLockedValueBox(State())
    private let wake = WakeSignal()
    private let metrics = QueueMetrics(queue: "log")

    /// What a pipe that is writable takes without blocking, in one piece (pipe(7)).
    private static let pieceMax = Int(PIPE_BUF)
    /// So many pieces are written by whoever logs an urgent line: as much as an empty pipe takes.
    private static let urgentPiecesMax = 16
    private static let lineFeed = UInt8(ascii: "\n")

    /// Starts the thread, which lives as long as the process.
    /// - Parameters:
    ///   - bytesMax: what may wait to be written.
    ///   - notice: makes the line that says how many lines were dropped.
    init(descriptor: Int32, bytesMax: Int = 4 << 20, notice: @escaping @Sendable (_ dropped: Int) -> [UInt8]) {
        self.descriptor = descriptor
        self.bytesMax = bytesMax
        self.notice = notice
        _ = WorkerThread(name: "log-writer") { self.serve() }
    }

    /// Takes a line, which ends with a line feed, or drops it; never waits.
    /// - Parameter isUrgent: whether to write it before returning if that is possible without waiting: the process may be about to end.
    func write(_ line: [UInt8], isUrgent: Bool = false) {
        self.metrics.add(bytes: line.count)
        // An urgent line is claimed as it is added, else the thread could take it in between and not have written it yet.
        let (isTaken, isFirst, claimed) = self.state.withLockedValue { state -> (Bool, Bool, Taken?) in
            guard state.lines.count + state.unwritten + line.count <= self.bytesMax else {
                state.dropped += 1
                return (false, false, nil)
            }
            let isFirst = state.lines.isEmpty && !state.isWriting
            state.lines += line
            return (true, isFirst, isUrgent ? Self.take(&state) : nil)
        }
        guard isTaken else {
            self.metrics.remove(bytes: line.count)
            return self.metrics.refuse()
        }
        if let claimed { self.writeNow(claimed) }
        if isFirst || isUrgent { self.wake.raise() }
    }

    /// Waits until all lines are written. Returns `false` if they were not within that time.
    func flush(within time: Duration) -> Bool {
        let isFlushed = WakeSignal()
        let isEmpty = self.state.withLockedValue { state in
            if !state.isEmpty { state.flushing.append(isFlushed) }
            return state.isEmpty
        }
        if isEmpty { return true }
        self.wake.raise()
        return Self.wait(
            for: isFlushed.descriptor, POLLIN, milliseconds: Int32(clamping: Int64(time / .milliseconds(1))))
    }

    // MARK: writing, by one at a time

    private func serve() {
        while true {
            _ = Self.wait(for: self.wake.descriptor, POLLIN, milliseconds: -1)
            self.wake.clear()
            while let lines = self.begin() {
                var rest = lines[...]
                while !rest.isEmpty {
                    let piece = Self.piece(of: rest)
                    _ = Self.wait(for: self.descriptor, POLLOUT, milliseconds: -1)
                    // What cannot be written, since its reader has gone, is dropped.
                    rest = rest.dropFirst(self.writeOnce(piece) ?? self.drop(piece))
                }
                self.end(rest)
            }
        }
    }

    /// Writes what can be written without waiting, up to a bound; the thread writes the rest.
    private func writeNow(_ taken: Taken) {
        var rest = self.lines(of: taken)[...]
        for _ in 0..<Self.urgentPiecesMax {
            guard !rest.isEmpty, Self.wait(for: self.descriptor, POLLOUT, milliseconds: 0) else { break }
            let piece = Self.piece(of: rest)
            guard piece.count <= Self.pieceMax, let written = self.writeOnce(piece) else { break }
            rest = rest.dropFirst(written)
        }
        self.end(rest)
    }

    /// Returns what is to be written; `nil` if there is nothing, or somebody writes already.
    private func begin() -> [UInt8]? {
        self.state.withLockedValue { Self.take(&$0) }.map(self.lines)
    }

    /// Takes all that waits, to be written by the caller; `nil` if there is nothing, or somebody writes already.
    private static func take(_ state: inout State) -> Taken? {
        guard !state.isWriting, !state.isEmpty else { return nil }
        defer { (state.lines, state.dropped) = ([], 0) }
        state.isWriting = true
        state.unwritten = state.lines.count
        return Taken(lines: state.lines, dropped: state.dropped)
    }

    /// Returns what was taken, with the line that says how many were dropped.
    private func lines(of taken: Taken) -> [UInt8] {
        guard taken.dropped > 0 else { return taken.lines }
        let notice = self.notice(taken.dropped)
        self.state.withLockedValue { $0.unwritten += notice.count }
        self.metrics.add(bytes: notice.count)
        return taken.lines + notice
    }

    /// - Parameter rest: what was not written, to be written before everything else.
    private func end(_ rest: ArraySlice<UInt8>) {
        let flushed = self.state.withLockedValue { state -> [WakeSignal] in
            state.isWriting = false
            state.unwritten = 0
            if !rest.isEmpty { state.lines = Array(rest) + state.lines }
            guard state.isEmpty else { return [] }
            defer { state.flushing = [] }
            return state.flushing
        }
        for signal in flushed { signal.raise() }
    }

    /// Returns how many bytes were written; `nil` if that fails for good.
    private func writeOnce(_ piece: ArraySlice<UInt8>) -> Int? {
        let written = piece.withUnsafeBytes { Glibc.write(self.descriptor, $0.baseAddress, $0.count) }
        guard written >= 0 else { return [EINTR, EAGAIN].contains(errno) ? 0 : nil }
        self.remove(piece.prefix(written))
        return written
    }

    private func drop(_ piece: ArraySlice<UInt8>) -> Int {
        self.metrics.refuse(self.remove(piece))
        return piece.count
    }

    /// Returns how many lines end there.
    @discardableResult
    private func remove(_ piece: ArraySlice<UInt8>) -> Int {
        let lines = piece.count { $0 == Self.lineFeed }
        self.state.withLockedValue { $0.unwritten -= piece.count }
        self.metrics.remove(items: lines, bytes: piece.count)
        return lines
    }

    /// Returns whole lines that a pipe takes in one piece, or the first line if that is longer.
    private static func piece(of lines: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        if let last = lines.prefix(Self.pieceMax).lastIndex(of: Self.lineFeed) { return lines[...last] }
        guard let end = lines.firstIndex(of: Self.lineFeed) else { return lines }
        return lines[...end]
    }

    private static func wait(for descriptor: Int32, _ events: Int32, milliseconds: Int32) -> Bool {
        var item = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return poll(&item, 1, milliseconds) > 0
    }
}
