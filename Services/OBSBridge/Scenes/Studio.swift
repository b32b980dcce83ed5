import Database
import Events
import ForeignMessages
import Logging
import NIOConcurrencyHelpers
import ServiceKit
import Threads

/// The sources in one connected OBS: made to stand as stored, and watched. It does one thing after the other, so that what a command
/// causes in OBS is stored before anybody looks at it.
actor Studio {
    enum Work: Sendable {
        case command(@Sendable (isolated Studio) async -> Void)
        case look
    }

    nonisolated let link: OBSLink
    /// As it is set at the moment.
    private nonisolated let current: @Sendable () -> OBSConnection
    let placements: Placements
    let sources: Sources
    let pages: SourcePages
    let logger: Logger

    private nonisolated let inbox = NIOLockedValueBox(Inbox())
    private nonisolated let work: AsyncStream<Work>
    private nonisolated let queue: AsyncStream<Work>.Continuation
    private nonisolated let looks: AsyncStream<Void>
    private nonisolated let lookSignal: AsyncStream<Void>.Continuation
    private nonisolated let laterLooks: AsyncStream<Void>
    private nonisolated let laterSignal: AsyncStream<Void>.Continuation

    var stage: Placements.Stage
    /// The kinds of inputs that this OBS has.
    var kinds: [String] = []
    var scenes: [StudioSnapshot.Scene] = []
    /// By source.
    var inputs: [String: StudioSnapshot.Input] = [:]
    var names: Set<String> = []
    /// Placements whose items were missing at the last look, and since when.
    var suspects: [Placement.Key: ContinuousClock.Instant] = [:]
    /// When each source's page was loaded anew by itself.
    var refreshed: [String: ContinuousClock.Instant] = [:]

    private static let commandsMax = 1000
    /// Changes that come within this time are looked at together.
    private static let lookDelay = Duration.milliseconds(100)
    private static let retryDelay = Duration.seconds(1)
    /// How long something is missing before it is believed to be removed: an OBS that ends is gone by then.
    static let removalDelay = Duration.seconds(1.5)

    init(
        link: OBSLink, connection: @escaping @Sendable () -> OBSConnection, placements: Placements, sources: Sources,
        pages: SourcePages,
        logger: Logger
    ) {
        self.link = link
        self.current = connection
        self.placements = placements
        self.sources = sources
        self.pages = pages
        self.logger = logger
        let connection = connection()
        self.stage = Placements.Stage(
            connection: connection.id, connectionName: connection.name, tenant: connection.tenant, collection: "")
        (self.work, self.queue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.commandsMax))
        (self.looks, self.lookSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.laterLooks, self.laterSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    nonisolated var connection: OBSConnection { self.current() }

    // MARK: from anywhere

    /// Takes note of what OBS told.
    nonisolated func heard(_ event: OBSEvent) {
        switch self.inbox.withLockedValue({ $0.heard(event) }) {
        case .none: break
        case .soon: self.lookSignal.yield()
        case .now: self.queue.yield(.look)
        }
    }

    /// Looks at all scenes, for OBS does not tell of what changes in those that it does not show.
    nonisolated func lookAround() {
        let isIdle = self.inbox.withLockedValue { inbox -> Bool in
            guard !inbox.isTearingDown else { return false }
            inbox.mustReadScenes = true
            return true
        }
        if isIdle { self.lookSignal.yield() }
    }

    /// Does something when all that was asked for before is done. Throws `OBSFailure.notConnected` when the link is gone.
    nonisolated func perform<R: Sendable>(
        _ body: @escaping @Sendable (isolated Studio) async throws -> R
    ) async throws -> R {
        let answer = Pending<Result<R, any Error>>()
        let result = self.queue.yield(
            .command { studio in
                do {
                    answer.give(.success(try await body(studio)))
                } catch {
                    answer.give(.failure(error))
                }
            })
        guard case .enqueued = result else { throw OBSFailure.notConnected }
        return try await answer.value().get()
    }

    /// Takes nothing more; `serve` returns when what waits is answered.
    nonisolated func end() {
        self.queue.finish()
        self.lookSignal.finish()
        self.laterSignal.finish()
    }

    /// Looks at everything again when removals can be believed.
    nonisolated func lookLater() { self.laterSignal.yield() }

    // MARK: the one thing after the other

    /// Makes OBS and what is stored the same, says so, and keeps them the same until `end`.
    /// - Parameters:
    ///   - failed: is told why it does not succeed, each time.
    func serve(synced: @Sendable () async -> Void, failed: @Sendable (String) async -> Void) async {
        guard await self.syncAtLast(failed) else { return await self.refuseAll() }
        await synced()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.callForLooks() }
            group.addTask { await self.callForLaterLooks() }
            for await work in self.work {
                switch work {
                case .command(let body): await body(self)
                case .look: await self.look()
                }
            }
            group.cancelAll()
        }
    }

    /// `false`: the link ended before.
    private func syncAtLast(_ failed: @Sendable (String) async -> Void) async -> Bool {
        while !Task.isCancelled {
            do {
                try await self.sync()
                return true
            } catch OBSFailure.notConnected {
                return false
            } catch {
                let isStarting = (error as? OBSFailure)?.code == OBSAnswer.notReady
                if !isStarting { await failed(Self.reason(error)) }
                // `try?`: cancelled, the loop ends.
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
        return false
    }

    /// The commands that wait hear from the link that it is gone.
    private func refuseAll() async {
        self.end()
        for await work in self.work {
            if case .command(let body) = work { await body(self) }
        }
    }

    private nonisolated func callForLooks() async {
        for await _ in self.looks {
            // `try?`: cancelled, the loop ends.
            try? await Task.sleep(for: Self.lookDelay)
            self.queue.yield(.look)
        }
    }

    private nonisolated func callForLaterLooks() async {
        for await _ in self.laterLooks {
            // `try?`: cancelled, the loop ends.
            try? await Task.sleep(for: Self.removalDelay + Self.lookDelay)
            let isLooking = self.inbox.withLockedValue { inbox -> Bool in
                guard !inbox.isTearingDown else { return false }
                inbox.mustReadAll = true
                return true
            }
            if isLooking { self.queue.yield(.look) }
        }
    }

    private func look() async {
        let seen = self.inbox.withLockedValue { $0.take() }
        if seen.isEmpty { return }
        do {
            if seen.mustSync { return try await self.sync() }
            for (old, new) in seen.renamedScenes {
                try await self.placements.renameScene(old, to: new, on: self.stage)
            }
            let own = Set(self.inputs.values.map(\.name))
            if seen.mustReadAll || !seen.createdInputs.isSubset(of: own) {
                try await self.adopt(try await self.link.snapshot())
            } else if seen.mustReadScenes {
                try await self.adoptScenes(Set(self.scenes.map(\.name)))
            } else if !seen.changedScenes.isEmpty {
                try await self.adoptScenes(seen.changedScenes)
            }
            for scene in seen.shownScenes {
                try await self.placements.showing(
                    scene, index: self.index(of: scene), mayBeFirst: false, on: self.stage)
            }
        } catch OBSFailure.notConnected {
            return
        } catch {
            self.logger.debug("What OBS shows could not be read or stored", metadata: ["error": "\(error)"])
            self.inbox.withLockedValue { $0.putBack(seen) }
            // `try?`: cancelled, the link ends.
            try? await Task.sleep(for: Self.retryDelay)
            self.queue.yield(.look)
        }
    }

    func index(of scene: String) -> Int { self.scenes.first { $0.name == scene }?.index ?? 0 }

    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as OBSFailure: error.message
        case DatabaseError.unavailable, DatabaseError.notActiveWriter, DatabaseError.outcomeUnknown:
            "the database is not available"
        case let error as APIFailure: error.message
        default: "\(error)"
        }
    }
}
