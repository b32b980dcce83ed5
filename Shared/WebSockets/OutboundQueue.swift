/// What one connection still has to send: ranges of frame logs, in order, adjacent ones merged.
///
/// It gives whole frames only: between two writes libwebsockets may put a pong, and what is left may be discarded.
struct OutboundQueue {
    private struct Run {
        let chunk: FrameChunk
        let offset: Int
        var count: Int
        var frames: Int
    }

    /// Up to where frames are merged.
    private static let runBytesMax = 64 * 1024

    private var runs: [Run] = []
    private(set) var bytes = 0
    private(set) var frames = 0

    var isEmpty: Bool { self.runs.isEmpty }

    mutating func append(_ range: FrameRange) {
        self.bytes += range.count
        self.frames += 1
        if let last = self.runs.last, last.chunk === range.chunk, last.offset + last.count == range.offset,
            last.count + range.count <= Self.runBytesMax
        {
            self.runs[self.runs.count - 1].count += range.count
            self.runs[self.runs.count - 1].frames += 1
        } else {
            self.runs.append(Run(chunk: range.chunk, offset: range.offset, count: range.count, frames: 1))
        }
    }

    /// Takes whole frames off the front, as many as fit into `max` bytes but at least one, and shows them in one piece: where
    /// they lie if that is in one run, else gathered in `scratch`, which holds at least `max` bytes.
    mutating func take<Result>(
        max: Int, scratch: UnsafeMutableRawBufferPointer, _ body: (UnsafeMutableRawBufferPointer) -> Result
    ) -> Result? {
        guard let first = self.runs.first else { return nil }
        var count = 1
        var bytes = first.count
        while count < self.runs.count, bytes + self.runs[count].count <= max {
            bytes += self.runs[count].count
            count += 1
        }
        defer { self.remove(count) }
        if count == 1 { return body(first.chunk[first.offset, first.count]) }
        return body(self.gather(count, scratch))
    }

    mutating func removeAll() {
        self = OutboundQueue()
    }

    private func gather(_ count: Int, _ scratch: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        var filled = 0
        for run in self.runs[..<count] {
            UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
                .copyMemory(from: UnsafeRawBufferPointer(run.chunk[run.offset, run.count]))
            filled += run.count
        }
        return UnsafeMutableRawBufferPointer(rebasing: scratch[..<filled])
    }

    private mutating func remove(_ count: Int) {
        for run in self.runs[..<count] {
            self.bytes -= run.count
            self.frames -= run.frames
        }
        self.runs.removeFirst(count)
    }
}
