import Events
import Testing

@testable import Auth

@Suite struct SeatsTests {
    private let start = ContinuousClock.now

    /// Who gets a seat, asked one after the other.
    private func taken(
        _ seats: inout Seats, _ holders: String..., owner: String = "wave/key", max: Int = 2, after: Duration = .zero
    ) -> [Bool] {
        holders.map { seats.take(TakeSeat(holder: $0, owner: owner, max: max), at: self.start + after) }
    }

    @Test func `there are so many seats over all gateways, and no more`() {
        var seats = Seats()
        let taken = self.taken(&seats, "one", "two", "one", "three")
        #expect(taken == [true, true, false, false])
        let another = self.taken(&seats, "one", owner: "wave/another", max: 1)
        #expect(another == [true])
    }

    @Test func `a seat that a gateway no longer reports is free`() {
        var seats = Seats()
        let full = self.taken(&seats, "one", "one", "two")
        seats.hold(HoldSeats(holder: "one", seats: ["wave/key": 1]), at: self.start)
        let freed = self.taken(&seats, "two", "two")
        seats.hold(HoldSeats(holder: "one", seats: [:]), at: self.start)
        let empty = self.taken(&seats, "two", "two")
        #expect([full, freed, empty] == [[true, true, false], [true, false], [true, false]])
    }

    @Test func `the seats of a gateway that fell silent are free, those of one that reports are not`() {
        var seats = Seats()
        let full = self.taken(&seats, "silent", "alive")
        seats.hold(HoldSeats(holder: "alive", seats: ["wave/key": 1]), at: self.start + .seconds(4))
        let later = self.taken(&seats, "new", "new", after: HoldSeats.lease + .seconds(1))
        #expect([full, later] == [[true, true], [true, false]])
    }

    @Test func `after a restart of auth the gateways' reports count`() {
        var seats = Seats()
        seats.hold(HoldSeats(holder: "one", seats: ["wave/key": 2, "wave/none": -1]), at: self.start)
        let taken = self.taken(&seats, "two")
        #expect(taken == [false])
    }

    @Test func `seats beyond all numbers are taken seats`() {
        var seats = Seats()
        seats.hold(HoldSeats(holder: "one", seats: ["wave/key": .max]), at: self.start)
        seats.hold(HoldSeats(holder: "two", seats: ["wave/key": .max]), at: self.start)
        let taken = self.taken(&seats, "one", "three", max: .max)
        #expect(taken == [false, false])
    }
}
