/// What waits for its turn, in order. When it has become too much its source is to stop until all of it is gone; then it comes
/// to a known bound, and is not stopped and started for each item.
struct WaitingQueue<Element> {
    private var items: [(element: Element, bytes: Int)] = []
    private var head = 0
    private(set) var bytes = 0
    /// True from when it is full until it is empty.
    private(set) var mustStop = false
    private let countMax: Int
    private let bytesMax: Int

    init(countMax: Int, bytesMax: Int) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    var isEmpty: Bool { self.head == self.items.count }
    var count: Int { self.items.count - self.head }
    var first: Element? { self.isEmpty ? nil : self.items[self.head].element }

    mutating func append(_ element: Element, bytes: Int) {
        self.items.append((element, bytes))
        self.bytes += bytes
        if self.count >= self.countMax || self.bytes >= self.bytesMax { self.mustStop = true }
    }

    mutating func removeFirst() -> Element? {
        guard !self.isEmpty else { return nil }
        let (element, bytes) = self.items[self.head]
        self.head += 1
        self.bytes -= bytes
        if self.isEmpty {
            self = Self(countMax: self.countMax, bytesMax: self.bytesMax)
        } else if self.head * 2 > self.items.count {
            self.items.removeFirst(self.head)
            self.head = 0
        }
        return element
    }
}
