import Threads

/// Messages that a subscriber has read from its socket and not looked at yet, in order. ZeroMQ bounds its own queues by number only;
/// this one is bounded in bytes.
struct MessageBacklog {
    private var messages: [[[UInt8]]] = []
    /// The first that was not taken out.
    private var head = 0
    private(set) var bytes = 0
    private let bytesMax: Int
    private let metrics = QueueMetrics(queue: "subscriber")

    /// What a message takes besides its frames' bytes: three arrays and their places.
    private static let overhead = 160

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    var isEmpty: Bool { self.head == self.messages.count }

    /// Reads messages from the socket while there is room, at most so many. Returns whether the socket has no more.
    mutating func read(from socket: Socket, upTo count: Int) throws -> Bool {
        let (before, bytesBefore) = (self.messages.count, self.bytes)
        defer { self.metrics.add(items: self.messages.count - before, bytes: self.bytes - bytesBefore) }
        for _ in 0..<count where self.bytes < self.bytesMax {
            guard let frames = try socket.receive() else { return true }
            self.messages.append(frames)
            self.bytes += Self.size(of: frames)
        }
        return false
    }

    /// Takes out the oldest messages, at most so many.
    mutating func removeFirst(_ count: Int) -> ArraySlice<[[UInt8]]> {
        let taken = self.messages[self.head...].prefix(count)
        let bytes = taken.reduce(0) { $0 + Self.size(of: $1) }
        self.bytes -= bytes
        self.metrics.remove(items: taken.count, bytes: bytes)
        self.head += taken.count
        if self.isEmpty {
            (self.messages, self.head) = ([], 0)
        } else if self.head > self.messages.count / 2 {
            self.messages.removeFirst(self.head)
            self.head = 0
        }
        return taken
    }

    private static func size(of frames: [[UInt8]]) -> Int { frames.reduce(Self.overhead) { $0 + $1.count } }
}
