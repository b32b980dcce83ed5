import Testing

@testable import Gateway

@Suite struct WaitingQueueTests {
    @Test(arguments: [(3, 1000), (1000, 30)])
    func `its source stops when it is full, and goes on when it is empty`(countMax: Int, bytesMax: Int) {
        var queue = WaitingQueue<Int>(countMax: countMax, bytesMax: bytesMax)
        for number in 0..<3 {
            #expect(!queue.mustStop)
            queue.append(number, bytes: 10)
        }
        #expect(queue.mustStop)
        #expect(queue.count == 3 && queue.bytes == 30)
        for number in 0..<3 {
            #expect(queue.mustStop)
            #expect(queue.removeFirst() == number)
        }
        #expect(!queue.mustStop)
        #expect(queue.isEmpty && queue.bytes == 0)
        #expect(queue.removeFirst() == nil)
    }

    @Test func `the order stays while some come and some go`() {
        var queue = WaitingQueue<Int>(countMax: 10, bytesMax: 10)
        var next = 0
        for number in 0..<1000 {
            queue.append(number, bytes: 1)
            guard number % 3 != 0 else { continue }
            #expect(queue.first == next)
            #expect(queue.removeFirst() == next)
            next += 1
        }
        while let number = queue.removeFirst() {
            #expect(number == next)
            next += 1
        }
        #expect(next == 1000)
    }
}
