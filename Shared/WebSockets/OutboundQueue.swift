/// What one connection still has to send: ranges of frame logs, in order, adjacent ones merged.
///
/// It gives whole frames only: between two writes libwebsockets may put a pong, and what is left may be discarded.
struct OutboundQueue {
    private var runs: [FrameRange] = []
    private(set) var bytes = 0
    private(set) var frames = 0
    /// Of the bytes, those of frames for this connection alone.
    private(set) var privateBytes = 0

    var isEmpty: Bool { self.runs.isEmpty }

    mutating func append(_ range: FrameRange) {
        self.bytes += range.count
        self.frames += range.frames
        if let joined = self.runs.last?.joined(with: range) {
            self.runs[self.runs.count - 1] = joined
        } else {
            self.runs.append(range)
        }
    }

    /// Appends a frame for this connection alone.
    mutating func append(private range: FrameRange) {
        self.privateBytes += range.count
        self.append(range)
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

    /// The tags' numbers of what waits, in order.
    var numbers: [UInt64] {
        self.runs.flatMap { $0.chunk.tags(from: $0.offset, count: $0.count).map(\.tag.number) }
    }

    /// Takes out what a newer frame makes superfluous and, if more than `frames` or `bytes` are left, what it can do without, lowest
    /// rank and oldest first. What is left keeps its order; it may still be more.
    mutating func shed(downTo limit: (frames: Int, bytes: Int)) -> Shedding {
        var shedding = Shedding()
        var pieces = self.pieces
        var newest: Set<UInt64> = []
        for index in pieces.indices.reversed() {
            guard let tag = pieces[index].tag, let key = tag.conflationKey else { continue }
            guard !newest.insert(key).inserted else { continue }
            shedding.conflated.append(tag.number)
            pieces[index].isShed = true
        }
        var frames = pieces.reduce(0) { $0 + ($1.isShed ? 0 : $1.run.frames) }
        var bytes = pieces.reduce(0) { $0 + ($1.isShed ? 0 : $1.run.count) }
        let ranks = Set(pieces.compactMap { $0.tag?.dropRank }).subtracting([0]).sorted()
        for rank in ranks {
            for index in pieces.indices where frames > limit.frames || bytes > limit.bytes {
                guard !pieces[index].isShed, let tag = pieces[index].tag, tag.dropRank == rank else { continue }
                shedding.dropped.append(tag.number)
                pieces[index].isShed = true
                frames -= 1
                bytes -= pieces[index].run.count
            }
        }
        // Frames for one connection have no tags and stay.
        let privateBytes = self.privateBytes
        self.removeAll()
        self.privateBytes = privateBytes
        for piece in pieces where !piece.isShed { self.append(piece.run) }
        return shedding
    }

    /// Counts what waits here at the chunks that it lies in.
    func countWaiting() {
        for run in self.runs { run.chunk.count(run.count) }
    }

    /// Copies what lies in sparse chunks into chunks of its size, which frees those when every queue has done so.
    mutating func repack(in memory: FrameMemory) {
        guard self.runs.contains(where: \.chunk.isSparse) else { return }
        var packed = OutboundQueue()
        var rest = self.runs[...]
        while let first = rest.first {
            guard first.chunk.isSparse else {
                packed.append(first)
                rest.removeFirst()
                continue
            }
            let stretch = rest.prefix { $0.chunk.isSparse && $0.chunk.isPrivate == first.chunk.isPrivate }
            let chunk = FrameChunk(
                capacity: stretch.reduce(0) { $0 + $1.count }, isPrivate: first.chunk.isPrivate, memory: memory)
            for run in stretch { packed.append(run.copied(to: chunk)) }
            rest = rest.dropFirst(stretch.count)
        }
        self.runs = packed.runs
    }

    /// A frame with its tag, or a run of frames without tags.
    private struct Piece {
        let run: FrameRange
        let tag: FrameTag?
        var isShed = false
    }

    private var pieces: [Piece] {
        self.runs.flatMap { run -> [Piece] in
            let tags = run.chunk.tags(from: run.offset, count: run.count)
            guard !tags.isEmpty else { return [Piece(run: run, tag: nil)] }
            let ends = tags.dropFirst().map(\.offset) + [run.offset + run.count]
            return zip(tags, ends).map { tagged, end in
                let count = end - tagged.offset
                return Piece(
                    run: FrameRange(chunk: run.chunk, offset: tagged.offset, count: count), tag: tagged.tag)
            }
        }
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
        if self.privateBytes > 0 {
            for run in self.runs[..<count] where run.chunk.isPrivate { self.privateBytes -= run.count }
        }
        // Most connections wait for nothing most of the time: then they hold no memory for it.
        if count == self.runs.count { self.runs = [] } else { self.runs.removeFirst(count) }
    }
}
