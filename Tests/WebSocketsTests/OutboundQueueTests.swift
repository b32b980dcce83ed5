import Testing

@testable import WebSockets

@Suite struct OutboundQueueTests {
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)

    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, 400_000])
    func `a frame has the header of its length`(count: Int) {
        var log = FrameLog()
        let range = log.append(.text, [UInt8](repeating: 7, count: count))
        let bytes = [UInt8](range.chunk[range.offset, range.count])
        let header: [UInt8] =
            switch count {
            case ..<126: [0x81, UInt8(count)]
            case ..<65536: [0x81, 126, UInt8(count >> 8), UInt8(count & 0xff)]
            default: [0x81, 127, 0, 0, 0, 0, 0, UInt8(count >> 16), UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
            }
        #expect(Array(bytes.prefix(header.count)) == header)
        #expect(bytes.dropFirst(header.count).elementsEqual([UInt8](repeating: 7, count: count)))
    }

    @Test(arguments: [1, 3, 10, 100, 4096])
    func `whole frames come out in order whatever the size of the pieces`(max: Int) {
        var logs = [FrameLog(), FrameLog()]
        var queue = OutboundQueue()
        var expected: [UInt8] = []
        for index in 0..<100 {
            let range = logs[index % 3 == 0 ? 0 : 1].append(.text, [UInt8](repeating: UInt8(index), count: index % 7))
            queue.append(range)
            expected += [UInt8](range.chunk[range.offset, range.count])
        }
        #expect(queue.bytes == expected.count)
        #expect(queue.frames == 100)
        var taken: [UInt8] = []
        while let piece = queue.take(max: max, scratch: self.scratch, { [UInt8]($0) }) {
            #expect(Self.isWholeFrames(piece))
            taken += piece
        }
        #expect(taken == expected)
        #expect(queue.isEmpty && queue.frames == 0)
        self.scratch.deallocate()
    }

    @Test func `adjacent frames are written in place`() {
        var log = FrameLog()
        var queue = OutboundQueue()
        let first = log.append(.text, [1, 2, 3])
        queue.append(first)
        queue.append(log.append(.text, [4]))
        let start = queue.take(max: 4096, scratch: self.scratch) { $0.baseAddress }
        #expect(start == first.chunk[first.offset, 1].baseAddress)
        self.scratch.deallocate()
    }

    private func queue(_ tags: [FrameTag?]) -> OutboundQueue {
        var (log, privateLog, queue) = (FrameLog(), FrameLog(), OutboundQueue())
        for (index, tag) in tags.enumerated() {
            let payload = [UInt8](repeating: UInt8(index), count: 10)
            queue.append(tag == nil ? privateLog.append(.text, payload) : log.append(.text, payload, tag: tag))
        }
        return queue
    }

    /// The first byte of each frame's payload, in order.
    private func contents(_ queue: OutboundQueue) -> [UInt8] {
        var (queue, contents) = (queue, [UInt8]())
        while let piece = queue.take(max: 4096, scratch: self.scratch, { [UInt8]($0) }) {
            var rest = piece[...]
            while let count = rest.dropFirst().first {
                contents.append(rest[rest.startIndex + 2])
                rest = rest.dropFirst(2 + Int(count))
            }
        }
        return contents
    }

    @Test func `a newer frame takes the place of an older one with the same key, and the order stays`() {
        var queue = self.queue([
            FrameTag(number: 1, conflationKey: 7), FrameTag(number: 2), nil, FrameTag(number: 3, conflationKey: 8),
            FrameTag(number: 4, conflationKey: 7), nil, FrameTag(number: 5, conflationKey: 7), FrameTag(number: 6),
        ])
        #expect(queue.numbers == [1, 2, 3, 4, 5, 6])
        let shedding = queue.shed(downTo: (frames: 1000, bytes: 1_000_000))
        #expect(Set(shedding.conflated) == [1, 4])
        #expect(shedding.dropped.isEmpty)
        #expect(queue.numbers == [2, 3, 5, 6])
        #expect(queue.frames == 6)
        #expect(queue.bytes == 6 * 12)
        #expect(self.contents(queue) == [1, 2, 3, 5, 6, 7])
        self.scratch.deallocate()
    }

    @Test func `what a client can do without goes by rank, the oldest first, and only as far as is needed`() {
        var queue = self.queue([
            FrameTag(number: 1, dropRank: 2), FrameTag(number: 2, dropRank: 1), FrameTag(number: 3),
            FrameTag(number: 4, dropRank: 1), FrameTag(number: 5, dropRank: 2), FrameTag(number: 6, dropRank: 3),
        ])
        #expect(queue.shed(downTo: (frames: 3, bytes: 1_000_000)).dropped == [2, 4, 1])
        #expect(queue.numbers == [3, 5, 6])
        #expect(queue.shed(downTo: (frames: 3, bytes: 24)).dropped == [5])
        #expect(queue.shed(downTo: (frames: 0, bytes: 0)).dropped == [6])
        #expect(queue.numbers == [3])
        self.scratch.deallocate()
    }

    @Test func `a chunk goes when the log has moved on and nobody waits for it`() {
        var log = FrameLog()
        var queues = [OutboundQueue(), OutboundQueue()]
        weak var chunk: FrameChunk?
        do {
            let range = log.append(.text, [1])
            chunk = range.chunk
            queues[0].append(range)
            queues[1].append(range)
        }
        _ = log.append(.text, [UInt8](repeating: 0, count: FrameLog.chunkBytes))
        #expect(chunk != nil)
        _ = queues[0].take(max: 10, scratch: self.scratch) { _ in }
        #expect(chunk != nil)
        queues[1].removeAll()
        #expect(chunk == nil)
        self.scratch.deallocate()
    }

    @Test func `a frame that is bigger than a piece is taken alone and whole`() {
        var log = FrameLog()
        var queue = OutboundQueue()
        for count in [3, 200_000, 3] { queue.append(log.append(.text, [UInt8](repeating: 1, count: count))) }
        var counts: [Int] = []
        while let count = queue.take(max: 4096, scratch: self.scratch, \.count) { counts.append(count) }
        #expect(counts == [5, 200_010, 5])
        self.scratch.deallocate()
    }

    @Test func `ranges are joined that lie one behind the other, up to a bound`() throws {
        var log = FrameLog()
        let ranges = [3, 4, 100_000, 100_000].map { log.append(.text, [UInt8](repeating: 1, count: $0)) }
        let joined = try #require(ranges[0].joined(with: ranges[1]))
        #expect(joined.count == 5 + 6)
        #expect(joined.frames == 2)
        #expect(ranges[0].joined(with: ranges[2]) == nil)
        #expect(ranges[1].joined(with: ranges[0]) == nil)
        #expect(ranges[2].joined(with: ranges[3]) == nil)
        var queue = OutboundQueue()
        queue.append(joined)
        #expect(queue.frames == 2)
        #expect(queue.take(max: 4096, scratch: self.scratch, \.count) == 11)
        #expect(queue.isEmpty && queue.frames == 0 && queue.bytes == 0)
        self.scratch.deallocate()
    }

    @Test func `frames for one connection are counted until they are taken`() {
        var (log, privateLog, queue) = (FrameLog(), FrameLog(isPrivate: true), OutboundQueue())
        queue.append(private: privateLog.append(.text, [UInt8](repeating: 1, count: 10)))
        queue.append(log.append(.text, [UInt8](repeating: 2, count: 100), tag: FrameTag(number: 1, dropRank: 1)))
        queue.append(private: privateLog.append(.text, [UInt8](repeating: 3, count: 20)))
        #expect(queue.privateBytes == 12 + 22)
        #expect(queue.shed(downTo: (frames: 0, bytes: 0)).dropped == [1])
        #expect(queue.privateBytes == 12 + 22)
        _ = queue.take(max: 12, scratch: self.scratch) { _ in }
        #expect(queue.privateBytes == 0 && queue.isEmpty)
        self.scratch.deallocate()
    }

    @Test func `a queue that does not move keeps what it holds, and not the chunks that lies in`() {
        let memory = FrameMemory()
        var log = FrameLog(memory: memory)
        var queue = OutboundQueue()
        for number in 0..<100 {
            queue.append(
                log.append(.text, [UInt8](repeating: UInt8(number), count: 20), tag: FrameTag(number: UInt64(number))))
            // What others are sent in between.
            for _ in 0..<9 { _ = log.append(.text, [UInt8](repeating: 0, count: 29_000), tag: FrameTag(number: 0)) }
        }
        #expect(memory.bytes > 100 * 200_000)
        #expect(memory.isSweepDue)
        Self.sweep(memory, &queue)
        #expect(memory.bytes < 2 * FrameLog.chunkBytes + 100 * 22)
        #expect(!memory.isSweepDue)
        #expect(queue.frames == 100 && queue.bytes == 100 * 22)
        #expect(queue.numbers == (0..<100).map(UInt64.init))
        #expect(self.contents(queue) == (0..<100).map(UInt8.init))
        self.scratch.deallocate()
    }

    @Test func `what many queues share is not copied for each`() {
        let memory = FrameMemory()
        var log = FrameLog(memory: memory)
        var queues = [OutboundQueue](repeating: OutboundQueue(), count: 50)
        for number in 0..<400 {
            let range = log.append(.text, [UInt8](repeating: 1, count: 5000), tag: FrameTag(number: UInt64(number)))
            for index in queues.indices { queues[index].append(range) }
            for _ in 0..<4 { _ = log.append(.text, [UInt8](repeating: 0, count: 29_000), tag: FrameTag(number: 0)) }
        }
        let before = memory.bytes
        memory.beginSweep()
        for queue in queues { queue.countWaiting() }
        for index in queues.indices { queues[index].repack(in: memory) }
        memory.endSweep()
        #expect(memory.bytes == before)
        self.scratch.deallocate()
    }

    @Test func `a queue is packed once, not at each sweep`() {
        let memory = FrameMemory()
        var log = FrameLog(memory: memory)
        var queue = OutboundQueue()
        for number in 0..<10 {
            queue.append(log.append(.text, [UInt8](repeating: UInt8(number), count: 20)))
            _ = log.append(.text, [UInt8](repeating: 0, count: FrameLog.chunkBytes))
        }
        Self.sweep(memory, &queue)
        var copy = queue
        let place = copy.take(max: 1, scratch: self.scratch) { $0.baseAddress }
        Self.sweep(memory, &queue)
        #expect(queue.take(max: 1, scratch: self.scratch) { $0.baseAddress } == place)
        self.scratch.deallocate()
    }

    private static func sweep(_ memory: FrameMemory, _ queue: inout OutboundQueue) {
        memory.beginSweep()
        queue.countWaiting()
        queue.repack(in: memory)
        memory.endSweep()
    }

    /// Of payloads below 126 bytes.
    private static func isWholeFrames(_ bytes: [UInt8]) -> Bool {
        var position = 0
        while position + 1 < bytes.count {
            guard bytes[position] == 0x81 else { return false }
            position += 2 + Int(bytes[position + 1])
        }
        return position == bytes.count
    }
}
