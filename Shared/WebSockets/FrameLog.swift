/// Encoded frames that lie one behind the other, so that each is stored once however many connections wait to send it.
struct FrameLog {
    /// What a chunk holds; a longer frame gets a chunk of its own.
    static let chunkBytes = 256 * 1024

    private var chunk: FrameChunk?
    private let memory: FrameMemory
    private let isPrivate: Bool

    /// - Parameters:
    ///   - memory: what its chunks are counted in.
    ///   - isPrivate: each of its frames is for one connection.
    init(memory: FrameMemory = FrameMemory(), isPrivate: Bool = false) {
        self.memory = memory
        self.isPrivate = isPrivate
    }

    /// Encodes an unfragmented frame as a server sends it, unmasked.
    mutating func append(_ opcode: Opcode, _ payload: some Collection<UInt8>, tag: FrameTag? = nil) -> FrameRange {
        let header = FrameHeader(opcode, payloadBytes: payload.count)
        let count = header.count + payload.count
        let chunk = self.chunk(with: count)
        let offset = chunk.append(count) { space in
            header.write(to: space)
            let body = UnsafeMutableRawBufferPointer(rebasing: space[header.count...])
            body.copyBytes(from: payload)
        }
        if let tag { chunk.add(tag, at: offset) }
        return FrameRange(chunk: chunk, offset: offset, count: count)
    }

    private mutating func chunk(with space: Int) -> FrameChunk {
        if let chunk = self.chunk, chunk.space >= space { return chunk }
        self.chunk?.isOpen = false
        let chunk = FrameChunk(capacity: max(Self.chunkBytes, space), isPrivate: self.isPrivate, memory: self.memory)
        chunk.isOpen = true
        self.chunk = chunk
        return chunk
    }
}

/// Encoded frames that lie one behind the other in a loop's log. It keeps the chunk that they lie in alive.
public struct FrameRange {
    let chunk: FrameChunk
    let offset: Int
    /// Headers and payloads, in bytes.
    public let count: Int
    /// How many there are.
    public let frames: Int

    /// Up to where frames are joined: what is written at once, and given up at once, is whole ranges.
    private static let bytesMax = 128 * 1024

    init(chunk: FrameChunk, offset: Int, count: Int, frames: Int = 1) {
        self.chunk = chunk
        self.offset = offset
        self.count = count
        self.frames = frames
    }

    /// These frames and the next as one range; `nil`: they don't lie one behind the other, or would be too long.
    public func joined(with next: FrameRange) -> FrameRange? {
        guard self.chunk === next.chunk, self.offset + self.count == next.offset,
            self.count + next.count <= Self.bytesMax
        else { return nil }
        return FrameRange(
            chunk: self.chunk, offset: self.offset, count: self.count + next.count, frames: self.frames + next.frames)
    }

    /// Copies the frames and their tags to the end of another chunk, which has room for them.
    func copied(to other: FrameChunk) -> FrameRange {
        let offset = other.append(self.count) { space in
            space.copyMemory(from: UnsafeRawBufferPointer(self.chunk[self.offset, self.count]))
        }
        for (place, tag) in self.chunk.tags(from: self.offset, count: self.count) {
            other.add(tag, at: place - self.offset + offset)
        }
        return FrameRange(chunk: other, offset: offset, count: self.count, frames: self.frames)
    }
}

/// A stretch of the log. It is freed when the log has moved on and no connection has to send anything of it any more.
final class FrameChunk {
    /// Each of its frames is for one connection.
    let isPrivate: Bool
    /// A log still appends to it.
    fileprivate(set) var isOpen = false
    private let bytes: UnsafeMutableRawBufferPointer
    private let memory: FrameMemory
    private var used: Int
    /// Of those of its frames that have one, with the offset of each, in order.
    private var tags: [(offset: Int, tag: FrameTag)] = []
    /// What waits in it, over all queues, and which sweep has counted that.
    private var waiting = (sweep: UInt64(0), bytes: 0)

    init(capacity: Int, isPrivate: Bool, memory: FrameMemory) {
        // libwebsockets may want to write in front of what it is given; it does not do so for raw writes.
        self.used = LibwebsocketsSocket.bytesInFront
        self.bytes = memory.allocate(self.used + capacity)
        self.isPrivate = isPrivate
        self.memory = memory
    }

    deinit {
        let isUsual = self.bytes.count == FrameLog.chunkBytes + LibwebsocketsSocket.bytesInFront
        self.memory.free(self.bytes, isReusable: isUsual)
    }

    /// Counts bytes that wait in it in one queue, for the sweep that is under way.
    func count(_ bytes: Int) {
        if self.waiting.sweep != self.memory.sweep { self.waiting = (self.memory.sweep, 0) }
        self.waiting.bytes += bytes
    }

    /// More than half of it is kept for nobody, so copies of what waits in it take less room, even if each queue has its own.
    var isSparse: Bool {
        !self.isOpen && self.waiting.sweep == self.memory.sweep && self.waiting.bytes < self.bytes.count / 2
    }

    func add(_ tag: FrameTag, at offset: Int) { self.tags.append((offset, tag)) }

    var space: Int { self.bytes.count - self.used }

    func append(_ count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) -> Int {
        let offset = self.used
        fill(UnsafeMutableRawBufferPointer(rebasing: self.bytes[offset..<offset + count]))
        self.used += count
        return offset
    }

    /// The tags of the frames in that stretch. A run of frames has a tag for each of them or for none.
    func tags(from offset: Int, count: Int) -> ArraySlice<(offset: Int, tag: FrameTag)> {
        self.tags[self.firstTag(at: offset)..<self.firstTag(at: offset + count)]
    }

    /// The place of the first tag at `offset` or behind it.
    private func firstTag(at offset: Int) -> Int {
        var range = 0..<self.tags.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = self.tags[middle].offset < offset ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// Valid as long as the chunk is referred to.
    subscript(offset: Int, count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: self.bytes[offset..<offset + count])
    }
}
