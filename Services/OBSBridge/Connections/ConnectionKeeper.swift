import Events
import ForeignMessages
import Logging
import Metrics
import NIOConcurrencyHelpers
import Threads
import WebSockets

/// Keeps the link to one OBS: connects, brings its scenes up to date, watches whether it still answers, and begins again when it is gone.
/// When its address or password change, another keeper takes its place.
final class ConnectionKeeper: Sendable {
    enum State: String, Sendable {
        /// It is not to be connected.
        case off
        case connecting
        /// OBS is there, and its scenes are brought up to date.
        case syncing
        case connected
        /// It could not be reached; another attempt follows.
        case waiting
        /// Trying again is of no use until somebody has changed something.
        case stopped
    }

    struct Status: Sendable {
        var state: State
        /// Why it is not connected.
        var problem: String?
        /// Why its stream is not live although OBS streams.
        var streamProblem: String?
        var versions: OBSVersions?
        var lastConnected: Timestamp?
        var stats: OBSStats?
        /// While connected.
        var studio: Studio?

        var isConnected: Bool { self.state == .connected }
    }

    private struct Inner {
        var connection: OBSConnection
        var status: Status
        /// As clients were told last, by this keeper.
        var told: Bool?
        var outputs = OutputStates()
        var isStopping = false
    }

    private let parts: Parts
    private let inner: NIOLockedValueBox<Inner>
    private let firstOutcome = Pending<OBSLinkFailure?>()
    private let stopping = Pending<Void>()
    private let stopped = Pending<Void>()
    private let lostCounter = Counter(label: "obs_bridge_links_lost_total")

    /// What keepers work with.
    struct Parts: Sendable {
        let loop: ClientLoop
        let connections: OBSConnections
        let crashes: CrashGuard
        let placements: Placements
        let sources: Sources
        let pages: SourcePages
        let samples: Samples
        let streams: StreamFeed
        let logger: Logger
        let publish: @Sendable (OBSStatsUpdate, OBSConnection) async -> Void
    }

    private static let openTimeout = Duration.seconds(10)
    private static let probeInterval = Duration.seconds(5)

    init(_ connection: OBSConnection, _ parts: Parts) {
        self.parts = parts
        let status = Status(state: connection.enabled ? .connecting : .off, lastConnected: connection.lastConnected)
        self.inner = NIOLockedValueBox(Inner(connection: connection, status: status))
    }

    /// As it is set at the moment.
    var connection: OBSConnection { self.inner.withLockedValue { $0.connection } }

    /// Takes over settings that the link does not depend on.
    func update(_ connection: OBSConnection) { self.inner.withLockedValue { $0.connection = connection } }

    var status: Status { self.inner.withLockedValue { $0.status } }
    /// What OBS last told of its outputs.
    var outputs: OutputStates { self.inner.withLockedValue { $0.outputs } }

    /// How the first attempt ended; `nil`: well. For one caller.
    func outcome() async -> OBSLinkFailure? { await self.firstOutcome.value() }

    /// Ends the link and, soon, `run`. Returns when it has ended.
    func stop() async {
        self.inner.withLockedValue { $0.isStopping = true }
        self.stopping.give(())
        await self.stopped.value()
    }

    /// Keeps the link until `stop` or the task's cancellation.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep() }
            group.addTask { await self.keepTold() }
            group.addTask {
                await withTaskCancellationHandler {
                    await self.stopping.value()
                } onCancel: {
                    self.stopping.give(())
                }
            }
            // The keeping ends by itself only when there is nothing more to try.
            for await _ in group where self.inner.withLockedValue({ $0.isStopping }) || Task.isCancelled { break }
            group.cancelAll()
        }
        self.firstOutcome.give(.lost("the connection was changed"))
        self.stopped.give(())
    }

    private func keep() async {
        guard self.connection.enabled else {
            self.firstOutcome.give(.unreachable("the connection is switched off"))
            return await self.set(.off)
        }
        // Contract obs-websocket §9.
        var backoff = Backoff(from: .seconds(1), to: .seconds(30))
        var isFirstFailure = true
        while !Task.isCancelled {
            await self.set(.connecting, keepingProblem: true)
            let (failure, wasConnected) = await self.attempt()
            if Task.isCancelled { return }
            if wasConnected {
                self.lostCounter.increment()
                backoff.reset()
                isFirstFailure = true
            }
            await self.set(failure.isFinal ? .stopped : .waiting, failure.message)
            self.firstOutcome.give(failure)
            self.parts.logger.log(
                level: isFirstFailure ? .warning : .debug, "No link to OBS",
                metadata: ["obs.connection": "\(self.connection.name)", "obs.reason": "\(failure.message)"])
            if isFirstFailure, !wasConnected { await self.reportFailure(failure) }
            isFirstFailure = false
            if failure.isFinal { return }
            // `try?`: cancelled, the loop ends.
            try? await Task.sleep(for: backoff.pause())
        }
    }

    /// One link from its beginning to its end, unless the process has ended by it too often.
    private func attempt() async -> (failure: OBSLinkFailure, wasConnected: Bool) {
        let (crashes, id) = (self.parts.crashes, self.connection.id)
        guard await crashes.permits(id) else { return (.crashes, false) }
        do {
            try await crashes.begin(id)
        } catch {
            return (.lost("the attempt was cancelled"), false)
        }
        let outcome = await self.open()
        await crashes.end(id)
        return outcome
    }

    private func open() async -> (failure: OBSLinkFailure, wasConnected: Bool) {
        let password: String?
        // One value for the password and the address that it is sent to.
        let connection = self.connection
        if connection.password != nil {
            password = self.parts.connections.seal.open(connection)
            if password == nil { return (.unreadablePassword, false) }
        } else {
            password = nil
        }
        // The studio is made when the link is there, and may be told of something before.
        let listener = NIOLockedValueBox<Studio?>(nil)
        let (feeds, feedSignal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        do {
            let link = try await OBSLink.open(
                connection.address, password: password, loop: self.parts.loop, within: Self.openTimeout
            ) { [inner] event in
                inner.withLockedValue { $0.outputs.heard(event) }
                if event.type == OutputStates.Output.stream.rawValue { feedSignal.yield() }
                listener.withLockedValue { $0 }?.heard(event)
            }
            let studio = Studio(
                link: link, connection: { [inner] in inner.withLockedValue { $0.connection } },
                placements: self.parts.placements,
                sources: self.parts.sources, pages: self.parts.pages, logger: self.parts.logger)
            listener.withLockedValue { $0 = studio }
            return await self.serve(link, studio, feeds, feedSignal)
        } catch {
            return ((error as? OBSLinkFailure) ?? .lost("\(error)"), false)
        }
    }

    private func serve(
        _ link: OBSLink, _ studio: Studio, _ feeds: AsyncStream<Void>, _ feedSignal: AsyncStream<Void>.Continuation
    ) async -> (failure: OBSLinkFailure, wasConnected: Bool) {
        await self.set(.syncing, keepingProblem: true)
        let wasConnected = NIOLockedValueBox(false)
        let failure = await withTaskGroup(of: OBSLinkFailure?.self) { group in
            group.addTask { await link.run() }
            group.addTask {
                // `try?`: cancelled, the link has not passed.
                guard (try? await Task.sleep(for: CrashGuard.trialDuration)) != nil else { return nil }
                await self.parts.crashes.pass(self.connection.id)
                return nil
            }
            group.addTask {
                await studio.serve {
                    await self.synced(link, studio)
                    wasConnected.withLockedValue { $0 = true }
                } failed: { reason in
                    await self.set(.syncing, reason)
                }
                return nil
            }
            group.addTask {
                await self.watch(link, studio) { feedSignal.yield() }
                return nil
            }
            group.addTask {
                for await _ in feeds { await self.followUp(link, studio) }
                return nil
            }
            var failure: OBSLinkFailure?
            for await ended in group {
                guard let ended else { continue }
                failure = ended
                break
            }
            // Before anybody hears of it, nobody is to find it connected.
            self.inner.withLockedValue { inner in
                inner.status.studio = nil
                if inner.status.state == .connected { inner.status.state = .waiting }
            }
            studio.end()
            group.cancelAll()
            return failure ?? .lost("the connection was lost")
        }
        return (failure, wasConnected.withLockedValue { $0 })
    }

    private func synced(_ link: OBSLink, _ studio: Studio) async {
        // `try?`: without it the version is not known.
        let version = try? await link.request("GetVersion")
        let versions = OBSVersions(
            obs: version?["obsVersion"]?.string ?? "unknown",
            websocket: version?["obsWebSocketVersion"]?.string ?? link.websocketVersion)
        self.inner.withLockedValue { inner in
            inner.status = Status(
                state: .connected, problem: nil, versions: versions, lastConnected: .now, studio: studio)
        }
        self.parts.logger.notice(
            "Connected to OBS",
            metadata: ["obs.connection": "\(self.connection.name)", "obs.version": "\(versions.obs)"])
        await self.tell()
        self.firstOutcome.give(nil)
    }

    /// Asks OBS for its statistics every five seconds, which also shows whether it is still there: the link ends when nothing is answered.
    /// - Parameter measured: is told of each, and waits for nothing.
    private func watch(_ link: OBSLink, _ studio: Studio, measured: @Sendable () -> Void) async {
        while !Task.isCancelled {
            // `try?`: the link itself notices when OBS does not answer.
            if let answer = try? await link.probe(), let stats = OBSStats(answer.data), self.status.isConnected {
                self.inner.withLockedValue { $0.status.stats = stats }
                await self.parts.publish(OBSStatsUpdate(stats: stats.payload), self.connection)
                studio.lookAround()
                measured()
            }
            // `try?`: cancelled, the loop ends.
            try? await Task.sleep(for: Self.probeInterval)
        }
    }

    /// What there is to do after each measurement, and when the stream starts or stops.
    private func followUp(_ link: OBSLink, _ studio: Studio) async {
        await self.parts.streams.feed(self, link)
        if let stats = self.status.stats { await self.parts.samples.add(stats, studio) }
        guard self.connection.refreshPages else { return }
        // `try?`: what cannot be done now is done the next time.
        try? await studio.perform { try await $0.refreshDuePages(at: .now) }
    }

    /// Returns whether that is news.
    func setStreamProblem(_ problem: String?) -> Bool {
        self.inner.withLockedValue { inner in
            defer { inner.status.streamProblem = problem }
            return inner.status.streamProblem != problem
        }
    }

    // MARK: what clients hear

    private func set(_ state: State, _ problem: String? = nil, keepingProblem: Bool = false) async {
        self.inner.withLockedValue { inner in
            inner.status.state = state
            if !keepingProblem { inner.status.problem = problem }
            inner.status.studio = nil
            inner.status.versions = nil
            inner.status.stats = nil
            inner.status.streamProblem = nil
        }
        if state == .waiting || state == .stopped || state == .off { await self.tell() }
    }

    /// Tells clients whether it is connected, if they don't know.
    private func tell() async {
        let status = self.status
        guard self.inner.withLockedValue({ $0.told != status.isConnected }) else { return }
        do {
            try await self.parts.connections.tell(status.isConnected ? status.versions : nil, self.connection.id)
            self.inner.withLockedValue { $0.told = status.isConnected }
        } catch {
            self.parts.logger.debug("A change of a link could not be told", metadata: ["error": "\(error)"])
        }
    }

    /// Tells what could not be told while the database was away.
    private func keepTold() async {
        // `try?`: cancelled, the loop ends.
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            let mustTell = self.inner.withLockedValue { inner -> Bool in
                switch inner.status.state {
                case .connected, .waiting, .stopped, .off: inner.told != inner.status.isConnected
                case .connecting, .syncing: false
                }
            }
            if mustTell { await self.tell() }
        }
    }

    private func reportFailure(_ failure: OBSLinkFailure) async {
        let error = SystemError(
            error: "Failed to connect to OBS", sourceId: nil, errorCode: .obsConnectionFailed,
            details: .init(reason: failure.message, retryable: !failure.isFinal))
        // `try?`: the state tells it as well.
        try? await self.parts.placements.report(error, tenant: self.connection.tenant, room: self.connection.name)
    }
}
