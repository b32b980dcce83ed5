import NIOConcurrencyHelpers
import Testing
import Threads

@Suite struct MailboxTests {
    private let wakes = NIOLockedValueBox(0)

    private func mailbox(capacity: Int) -> Mailbox<Int> {
        let wakes = self.wakes
        return Mailbox(capacity: capacity) { wakes.withLockedValue { $0 += 1 } }
    }

    @Test func `items come out in order, all at once`() {
        let mailbox = self.mailbox(capacity: 10)
        for number in 0..<5 { #expect(mailbox.post(number)) }
        #expect(mailbox.weight == 5)
        #expect(mailbox.drain() == [0, 1, 2, 3, 4])
        #expect(mailbox.drain() == [])
        #expect(mailbox.weight == 0)
    }

    @Test func `beyond its capacity the newest is refused and counted`() {
        let mailbox = self.mailbox(capacity: 2)
        #expect([1, 2, 3, 4].map { mailbox.post($0) } == [true, true, false, false])
        #expect(mailbox.refused == 2)
        #expect(mailbox.drain() == [1, 2])
        #expect(mailbox.post(5))
        #expect(mailbox.refused == 2)
    }

    @Test func `beyond its bytes the newest is refused, however few there are`() {
        let mailbox = Mailbox<Int>(capacity: 100, bytesMax: 10, measure: { $0 }) {}
        #expect([4, 6, 1].map { mailbox.post($0) } == [true, true, false])
        #expect(mailbox.bytes == 10)
        #expect(mailbox.refused == 1)
        #expect(mailbox.postAnswer(5))
        #expect(mailbox.drain(upTo: 1) == [4])
        #expect(mailbox.bytes == 11)
        #expect(mailbox.drain() == [6, 5])
        #expect(mailbox.bytes == 0)
        // One that is larger than that is taken alone.
        #expect([50, 0].map { mailbox.post($0) } == [true, false])
    }

    @Test func `the owner is woken once for all that waits`() {
        let mailbox = self.mailbox(capacity: 10)
        for number in 0..<5 { mailbox.post(number) }
        #expect(self.wakes.withLockedValue { $0 } == 1)
        _ = mailbox.drain()
        mailbox.post(6)
        #expect(self.wakes.withLockedValue { $0 } == 2)
    }

    @Test func `a part is taken by weight, in order, and the rest stays`() {
        let mailbox = Mailbox<Int>(capacity: 20, weigh: { $0 }) {}
        for number in [3, 4, 5, 6] { #expect(mailbox.post(number)) }
        #expect(mailbox.weight == 18)
        // It is not full yet, so one more is taken, whatever it weighs.
        #expect(mailbox.post(7))
        #expect(!mailbox.post(1))
        #expect(mailbox.drain(upTo: 7) == [3, 4])
        #expect(mailbox.weight == 18)
        // One that weighs more than that alone is taken, too.
        #expect(mailbox.drain(upTo: 2) == [5])
        #expect(mailbox.drain(upTo: 100) == [6, 7])
        #expect(mailbox.weight == 0)
    }

    @Test func `answers that are posted together wake the owner once and are taken though it is full`() {
        let mailbox = self.mailbox(capacity: 2)
        #expect(mailbox.postAnswers([1, 2, 3]))
        #expect(mailbox.postAnswers([]))
        #expect(mailbox.postAnswers([4]))
        #expect(self.wakes.withLockedValue { $0 } == 1)
        #expect(mailbox.drain() == [1, 2, 3, 4])
        mailbox.close()
        #expect(!mailbox.postAnswers([5]))
    }

    @Test func `a closed mailbox refuses, wakes, and keeps what it had`() {
        let mailbox = self.mailbox(capacity: 10)
        mailbox.post(1)
        #expect(!mailbox.isClosed)
        mailbox.close()
        #expect(mailbox.isClosed)
        #expect(!mailbox.post(2))
        #expect(mailbox.refused == 1)
        #expect(self.wakes.withLockedValue { $0 } == 2)
        #expect(mailbox.drain() == [1])
    }

    @Test func `nothing that was taken is lost, whoever posts`() async {
        let mailbox = self.mailbox(capacity: 50)
        let taken = NIOLockedValueBox(0)
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<2000).reduce(0) { sum, number in mailbox.post(number) ? sum + 1 : sum } }
            }
            group.addTask {
                for _ in 0..<5000 {
                    let count = mailbox.drain().count
                    taken.withLockedValue { $0 += count }
                    await Task.yield()
                }
                return 0
            }
            let posted = await group.reduce(0, +)
            #expect(posted == taken.withLockedValue { $0 } + mailbox.drain().count)
            #expect(mailbox.refused == UInt64(16_000 - posted))
        }
    }
}
