/// What one connection still has to send: ranges of frame logs, in order, adjacent ones merged.
struct OutboundQueue {
    private struct Run {
        let chunk: FrameChunk
        var offset: Int
        var count: Int
        var frames: Int
    }

    private var runs: [Run] = []
    private(set) var bytes = 0
    private(set) var frames = 0

    var isEmpty: Bool { self.bytes == 0 }

    mutating func append(_ range: FrameRange) {
        self.bytes += range.count
        self.frames += 1
        if let last = self.runs.last, last.chunk === range.chunk, last.offset + last.count == range.offset {
            self.runs[self.runs.count - 1].count += range.count
            self.runs[self.runs.count - 1].frames += 1
        } else {
            self.runs.append(Run(chunk: range.chunk, offset: range.offset, count: range.count, frames: 1))
        }
    }

    /// Takes up to `max` bytes off the front and shows them in one piece: where they lie if that is in one run, else gathered in
    /// `scratch`, which holds at least `max` bytes.
    mutating func take<Result>(
        max: Int, scratch: UnsafeMutableRawBufferPointer, _ body: (UnsafeMutableRawBufferPointer) -> Result
    ) -> Result? {
        guard let first = self.runs.first else { return nil }
        if first.count >= max || self.runs.count == 1 {
            let count = min(first.count, max)
            // The local copy of the run keeps the chunk alive while its bytes are shown.
            self.remove(count)
            return withExtendedLifetime(first) { body(first.chunk[first.offset, count]) }
        }
        return body(self.gather(max, scratch))
    }

    mutating func removeAll() {
        self = OutboundQueue()
    }

    private mutating func gather(_ max: Int, _ scratch: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer
    {
        var filled = 0
        for run in self.runs where filled < max {
            let count = min(run.count, max - filled)
            let space = UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
            space.copyMemory(from: UnsafeRawBufferPointer(run.chunk[run.offset, count]))
            filled += count
        }
        self.remove(filled)
        return UnsafeMutableRawBufferPointer(rebasing: scratch[..<filled])
    }

    private mutating func remove(_ count: Int) {
        self.bytes -= count
        var left = count
        var finished = 0
        while finished < self.runs.count, self.runs[finished].count <= left {
            left -= self.runs[finished].count
            self.frames -= self.runs[finished].frames
            finished += 1
        }
        if left > 0 {
            self.runs[finished].offset += left
            self.runs[finished].count -= left
        }
        self.runs.removeFirst(finished)
    }
}
