import Testing

@testable import ServiceKit

@Suite struct HeapReleaseTests {
    private static let min = HeapRelease.Surplus.bytesMin

    /// Returns for each measurement whether a release is worth it.
    private static func answers(
        _ surplus: inout HeapRelease.Surplus, _ measured: (resident: Int, used: Int)...
    ) -> [Bool] {
        var answers: [Bool] = []
        for (resident, used) in measured {
            answers.append(surplus.isWorthReleasing(resident: resident, used: used))
        }
        return answers
    }

    @Test func `what a release leaves is not tried again`() {
        var surplus = HeapRelease.Surplus()
        let first = Self.answers(&surplus, (10 + Self.min - 1, 10), (10 + 4 * Self.min, 10))
        #expect(first == [false, true])
        // Stacks and the like stay.
        surplus.released(resident: 10 + 3 * Self.min, used: 10)
        let second = Self.answers(
            &surplus, (10 + 3 * Self.min, 10), (20 + 4 * Self.min - 1, 20), (20 + 4 * Self.min, 20))
        #expect(second == [false, false, true])
    }

    @Test func `what stays is measured anew when it becomes less`() {
        var surplus = HeapRelease.Surplus()
        surplus.released(resident: 4 * Self.min, used: 0)
        let first = Self.answers(&surplus, (2 * Self.min, Self.min), (2 * Self.min - 1, 0), (2 * Self.min, 0))
        #expect(first == [false, false, true])
        // The heap may have shrunk between two measurements.
        surplus.released(resident: 1, used: 2)
        let second = Self.answers(&surplus, (Self.min, 0))
        #expect(second == [true])
    }
}
