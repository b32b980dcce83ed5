import Bus
import Dialects
import Events
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Gateway

/// Seats as leases: what the gateway asks auth, what it tells it, and what it does without it.
@Suite struct SeatLeasesTests {
    private struct Auth {
        var taken: [String: Int] = [:]
        var questions = 0
        var reports: [[String: Int]] = []
    }

    private let auth = NIOLockedValueBox(Auth())
    private let endpoint = freeEndpoint()

    private func server() -> CommandServer {
        let server = CommandServer(endpoint: self.endpoint, logger: quiet)
        server.answer(TakeSeat.self) { [auth] request in
            auth.withLockedValue { state in
                state.questions += 1
                guard state.taken[request.owner, default: 0] < request.max else { return .init(isTaken: false) }
                state.taken[request.owner, default: 0] += 1
                return .init(isTaken: true)
            }
        }
        server.answer(HoldSeats.self) { [auth] report in
            auth.withLockedValue { state in
                state.reports.append(report.seats)
                state.taken = report.seats
            }
            return .init()
        }
        return server
    }

    private func leases() -> (SeatLeases, CommandClient) {
        let endpoints = BusEndpoints(events: "", commands: self.endpoint)
        let client = CommandClient(endpoints: [.auth: endpoints], logger: quiet)
        return (SeatLeases(instance: "one", commands: client), client)
    }

    private static func seat(_ owner: String = "wave/key", max: Int = 2) -> Seat {
        Seat(owner: owner, max: max, farewell: [], closing: .goingAway)
    }

    /// Until auth answers: what is taken before is counted by the gateway alone.
    private func contact(_ client: CommandClient) async {
        let probe = TakeSeat(holder: "probe", owner: "probe", max: 1)
        // `try?`: it is not there yet.
        while (try? await client.call(probe)) == nil {}
        self.auth.withLockedValue { $0.questions = 0 }
    }

    @Test func `auth says whether a seat is free`() async throws {
        let (leases, client) = self.leases()
        // Another gateway has one of the two.
        self.auth.withLockedValue { $0.taken = ["wave/key": 1] }
        try await with(client, self.server()) {
            await self.contact(client)
            #expect(await leases.take(Self.seat()))
            #expect(await !leases.take(Self.seat()))
            #expect(await leases.take(Self.seat("wave/other")))
        }
    }

    @Test func `a seat that was given back is free for the very next who asks`() async throws {
        let (leases, client) = self.leases()
        try await with(client, self.server()) {
            await self.contact(client)
            for _ in 0..<2 { #expect(await leases.take(Self.seat())) }
            for _ in 0..<20 {
                leases.giveBack(Self.seat())
                #expect(await leases.take(Self.seat()))
            }
            // Never by a second try.
            #expect(self.auth.withLockedValue { $0.questions } == 22)
        }
    }

    @Test func `a report that crosses the question does not free the seat`() async throws {
        let (leases, client) = self.leases()
        let gate = NIOLockedValueBox(false)
        let server = self.server()
        server.answer(TakeSeat.self) { [auth] request in
            // Taken, and the gateway has not heard of it yet.
            auth.withLockedValue { state in
                state.questions += 1
                state.taken[request.owner, default: 0] += 1
            }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return .init(isTaken: true)
        }
        try await with(client, server) {
            gate.withLockedValue { $0 = true }
            await self.contact(client)
            #expect(await leases.take(Self.seat()))
            gate.withLockedValue { $0 = false }
            let taking = Task { await leases.take(Self.seat()) }
            try await eventually { self.auth.withLockedValue { $0.questions } == 2 }
            // Running, it reports at once.
            try await with(leases) {
                try await eventually { !self.auth.withLockedValue { $0.reports }.isEmpty }
                gate.withLockedValue { $0 = true }
                #expect(await taking.value)
            }
            #expect(self.auth.withLockedValue { $0.taken["wave/key"] } == 2)
            #expect(self.auth.withLockedValue { $0.reports.first } == ["wave/key": 2])
        }
    }

    @Test func `a no is a no, also when auth falls silent, and holds no seat`() async throws {
        let (leases, client) = self.leases()
        let server = self.server()
        server.answer(TakeSeat.self) { [auth] _ in
            let isFirst = auth.withLockedValue { state in
                state.questions += 1
                return state.questions == 1
            }
            guard isFirst else { throw CommandFailure(.unavailable, "gone") }
            return .init(isTaken: false)
        }
        try await with(client, server) {
            let probe = HoldSeats(holder: "probe", seats: [:])
            // `try?`: it is not there yet.
            while (try? await client.call(probe)) == nil {}
            self.auth.withLockedValue { $0.reports = [] }
            #expect(await !leases.take(Self.seat()))
            #expect(self.auth.withLockedValue { $0.questions } == 2)
            // Without a clear answer it counts by itself: both seats are free.
            for _ in 0..<2 { #expect(await leases.take(Self.seat())) }
            #expect(await !leases.take(Self.seat()))
        }
    }

    @Test func `without auth the gateway counts its own, and tells auth when it is back`() async throws {
        let (leases, client) = self.leases()
        try await with(client, leases) {
            for _ in 0..<2 { #expect(await leases.take(Self.seat())) }
            #expect(await !leases.take(Self.seat()))
            leases.giveBack(Self.seat())
            #expect(await leases.take(Self.seat()))
            try await with(self.server()) {
                try await eventually { self.auth.withLockedValue { $0.taken } == ["wave/key": 2] }
                #expect(await !leases.take(Self.seat()))
            }
        }
    }

    @Test func `what is held is told again and again, what was given back soon, and nothing needs no words`()
        async throws
    {
        let (leases, client) = self.leases()
        try await with(client, self.server(), leases) {
            await self.contact(client)
            for _ in 0..<2 { #expect(await leases.take(Self.seat())) }
            self.auth.withLockedValue { $0.taken = [:] }
            try await eventually { self.auth.withLockedValue { $0.taken } == ["wave/key": 2] }
            let given = ContinuousClock.now
            for _ in 0..<2 { leases.giveBack(Self.seat()) }
            try await eventually { self.auth.withLockedValue { $0.reports.last } == [:] }
            #expect(ContinuousClock.now - given < .seconds(1))
            // The next in turn tells that once more at most.
            let reports = self.auth.withLockedValue { $0.reports.count }
            try await Task.sleep(for: .seconds(5))
            #expect(self.auth.withLockedValue { $0.reports.count } <= reports + 1)
        }
    }
}
