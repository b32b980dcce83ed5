import Bus
import Dialects
import Events
import Metrics
import NIOConcurrencyHelpers
import ServiceLifecycle

/// The seats that this gateway holds. Auth counts them over all gateways, as leases that end with the gateway; while auth is away
/// this gateway counts its own.
final class SeatLeases: Service {
    private struct State {
        var held: [String: Int] = [:]
        /// Owners of whose seats some were given back since auth was told.
        var freed: Set<String> = []
        /// Whether auth may believe that we hold something.
        var mayHaveLeases = false
        var isReporting = false
        /// Counts the reports that began.
        var reports = 0
        var waiting: [CheckedContinuation<Void, Never>] = []

        mutating func letGo(of seat: Seat) {
            let taken = self.held[seat.owner, default: 1] - 1
            self.held[seat.owner] = taken > 0 ? taken : nil
        }
    }

    private let holder: String
    private let commands: CommandClient
    private let state = NIOLockedValueBox(State())
    private let releases: AsyncStream<Void>
    private let release: AsyncStream<Void>.Continuation
    private let unshared = Counter(label: "gateway_unshared_seats_total")

    /// Well within the lease.
    private static let reportInterval = Duration.seconds(2)
    /// What is given back within this time is reported together.
    private static let releasePause = Duration.milliseconds(100)
    /// A client that comes back on another gateway may be faster than what its old one reports.
    private static let secondTry = Duration.milliseconds(250)
    private static let timeout = Duration.seconds(1)

    /// - Parameter instance: tells replicas apart; each life of one is another holder.
    init(instance: String, commands: CommandClient) {
        self.holder = "\(instance)/\(ULID().text)"
        self.commands = commands
        (self.releases, self.release) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes a seat; `false`: none is free.
    func take(_ seat: Seat) async -> Bool {
        // What was given back here counts at once, not only when it is reported in its turn.
        if self.state.withLockedValue({ $0.freed.contains(seat.owner) }) { await self.report() }
        guard let isTaken = await self.ask(for: seat) else { return self.takeUnshared(seat) }
        if isTaken { return true }
        // `try?`: a cancelled sleep means that nobody wants the seat any longer.
        guard (try? await Task.sleep(for: Self.secondTry)) != nil else { return false }
        guard let isTaken = await self.ask(for: seat) else {
            // Auth has said no, and that it is silent now does not make it a yes.
            self.takeBack(seat)
            return false
        }
        return isTaken
    }

    func giveBack(_ seat: Seat) {
        self.state.withLockedValue { state in
            state.letGo(of: seat)
            state.freed.insert(seat.owner)
        }
        self.release.yield()
    }

    /// Tells auth what is held until shutdown.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    while !Task.isCancelled {
                        await self.report()
                        // `try?`: a cancelled sleep ends the loop.
                        try? await Task.sleep(for: Self.reportInterval)
                    }
                }
                group.addTask {
                    for await _ in self.releases {
                        // `try?`: as above.
                        try? await Task.sleep(for: Self.releasePause)
                        await self.report()
                    }
                }
            }
        }
    }

    /// `nil`: auth does not answer. The seat is held while it is asked for, and afterwards unless the answer is no: auth replaces what
    /// it knows by what is reported, and a report without the seat would make it free again.
    private func ask(for seat: Seat) async -> Bool? {
        let reports = self.state.withLockedValue { state in
            state.held[seat.owner, default: 0] += 1
            state.mayHaveLeases = true
            return state.isReporting ? nil : state.reports
        }
        let question = TakeSeat(holder: self.holder, owner: seat.owner, max: seat.max)
        // `try?`: without auth we count by ourselves. What it may have counted all the same, the next report puts right.
        let isTaken = try? await self.commands.call(question, timeout: Self.timeout).isTaken
        if isTaken == false { self.takeBack(seat) }
        // A report that crossed the question said one seat too few or too many.
        if reports != self.state.withLockedValue({ $0.reports }) { self.release.yield() }
        return isTaken
    }

    private func takeBack(_ seat: Seat) { self.state.withLockedValue { $0.letGo(of: seat) } }

    private func takeUnshared(_ seat: Seat) -> Bool {
        self.unshared.increment()
        return self.state.withLockedValue { state in
            guard state.held[seat.owner, default: 0] > seat.max else { return true }
            state.letGo(of: seat)
            return false
        }
    }

    /// Tells auth what is held now. One report at a time, or an older one might be the last to arrive; who comes meanwhile waits for
    /// one that began after they came.
    private func report() async {
        let isFirst = self.state.withLockedValue { state in
            defer { state.isReporting = true }
            return !state.isReporting
        }
        guard isFirst else {
            return await withCheckedContinuation { continuation in
                let isWaiting = self.state.withLockedValue { state in
                    if state.isReporting { state.waiting.append(continuation) }
                    return state.isReporting
                }
                if !isWaiting { continuation.resume() }
            }
        }
        var served: [CheckedContinuation<Void, Never>] = []
        while true {
            await self.send()
            for continuation in served { continuation.resume() }
            served = self.state.withLockedValue { state in
                defer { state.waiting = [] }
                state.isReporting = !state.waiting.isEmpty
                return state.waiting
            }
            if served.isEmpty { return }
        }
    }

    private func send() async {
        let (held, freed) = self.state.withLockedValue { state -> ([String: Int]?, Set<String>) in
            state.reports += 1
            guard state.mayHaveLeases || !state.held.isEmpty else {
                state.freed = []
                return (nil, [])
            }
            defer { state.freed = [] }
            return (state.held, state.freed)
        }
        guard let held else { return }
        let report = HoldSeats(holder: self.holder, seats: held)
        // `try?`: without auth there is nobody to tell; the next report says it all again.
        let isTold = (try? await self.commands.call(report, timeout: Self.timeout)) != nil
        self.state.withLockedValue { state in
            if isTold {
                state.mayHaveLeases = !state.held.isEmpty || !held.isEmpty
            } else {
                state.freed.formUnion(freed)
            }
        }
    }
}
