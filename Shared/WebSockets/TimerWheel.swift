/// Deadlines in ticks. Setting one, moving it later and taking it away cost the same however many there are; nothing is done
/// on ticks at which nothing is due.
struct TimerWheel<Key: Hashable> {
    private struct Deadline {
        var due: UInt64
        /// The tick whose slot holds the key. Not after `due`: a deadline that moved later moves its key when that slot comes up.
        var slot: UInt64
    }

    private static var slotCount: UInt64 { 1024 }

    private var deadlines: [Key: Deadline] = [:]
    private var slots = [[Key]](repeating: [], count: Int(slotCount))
    /// Everything up to and including this tick has fired.
    private(set) var now: UInt64

    init(now: UInt64) {
        self.now = now
    }

    var isEmpty: Bool { self.deadlines.isEmpty }

    /// Sets the deadline of `key`, or moves it. One that is not in the future comes with the next tick.
    mutating func schedule(_ key: Key, at tick: UInt64) {
        let due = max(tick, self.now + 1)
        if var deadline = self.deadlines[key], deadline.slot <= due {
            deadline.due = due
            self.deadlines[key] = deadline
        } else {
            self.place(key, due: due)
        }
    }

    mutating func cancel(_ key: Key) {
        // Its slot keeps the key until its turn, and then drops it.
        self.deadlines[key] = nil
    }

    /// When to call `advance` next, `nil` if nothing is set.
    var nextTick: UInt64? {
        guard !self.isEmpty else { return nil }
        return (self.now + 1..<self.now + Self.slotCount).first { !self.slots[Int($0 % Self.slotCount)].isEmpty }
    }

    /// Lets time pass up to `tick` and gives the keys that fell due, earliest first.
    mutating func advance(to tick: UInt64) -> [Key] {
        var fired: [Key] = []
        while self.now < tick {
            guard let next = self.nextTick, next <= tick else {
                self.now = tick
                break
            }
            self.now = next
            self.turn(next, &fired)
        }
        return fired
    }

    private mutating func turn(_ tick: UInt64, _ fired: inout [Key]) {
        var keys: [Key] = []
        swap(&keys, &self.slots[Int(tick % Self.slotCount)])
        for key in keys {
            guard let deadline = self.deadlines[key], deadline.slot == tick else { continue }
            if deadline.due > tick {
                self.place(key, due: deadline.due)
            } else {
                self.deadlines[key] = nil
                fired.append(key)
            }
        }
    }

    private mutating func place(_ key: Key, due: UInt64) {
        let slot = min(due, self.now + Self.slotCount - 1)
        self.deadlines[key] = Deadline(due: due, slot: slot)
        self.slots[Int(slot % Self.slotCount)].append(key)
    }
}
