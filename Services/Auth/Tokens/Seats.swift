import Events

/// The seats of keys and accounts (sockets per key), over all gateways. A gateway holds seats as a lease: one that falls silent
/// gives them back. In memory, since every gateway says every two seconds what it holds.
struct Seats {
    private struct Holder {
        var seats: [String: Int] = [:]
        var until: ContinuousClock.Instant
    }

    private var holders: [String: Holder] = [:]

    /// `false`: all of the owner's seats are taken.
    mutating func take(_ request: TakeSeat, at now: ContinuousClock.Instant) -> Bool {
        self.expire(at: now)
        let taken = self.holders.values.reduce(0) { $0.addingClamped($1.seats[request.owner, default: 0]) }
        guard taken < request.max else { return false }
        var holder = self.holders[request.holder] ?? Holder(until: now + HoldSeats.lease)
        holder.seats[request.owner] = holder.seats[request.owner, default: 0].addingClamped(1)
        self.holders[request.holder] = holder
        return true
    }

    /// What a gateway holds now; it renews the lease.
    mutating func hold(_ report: HoldSeats, at now: ContinuousClock.Instant) {
        self.expire(at: now)
        let seats = report.seats.filter { $0.value > 0 }
        self.holders[report.holder] = seats.isEmpty ? nil : Holder(seats: seats, until: now + HoldSeats.lease)
    }

    private mutating func expire(at now: ContinuousClock.Instant) {
        self.holders = self.holders.filter { $0.value.until > now }
    }
}
