import Database
import DomainService
import Events
import ForeignMessages
import Metrics
import NIOConcurrencyHelpers
import ServiceLifecycle

/// The keepers of all tenants' OBS connections, one each. Only the process that may write has any.
final class ConnectionKeepers: Service {
    private let parts: ConnectionKeeper.Parts
    private let writer: EventWriter
    private let keepers = NIOLockedValueBox<[String: ConnectionKeeper]>([:])
    private let connectedGauge = Gauge(label: "obs_bridge_connected")
    private let missingGauge = Gauge(label: "obs_bridge_missing")
    private let starts: AsyncStream<ConnectionKeeper>
    private let start: AsyncStream<ConnectionKeeper>.Continuation

    init(_ service: DomainService, _ parts: ConnectionKeeper.Parts) {
        self.parts = parts
        self.writer = service.writer
        // There are at most as many as connections, and their changes.
        (self.starts, self.start) = AsyncStream.makeStream()
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.load() }
                for await keeper in self.starts { group.addTask { await keeper.run() } }
                group.cancelAll()
            }
        }
    }

    /// Begins with the stored connections once this process may write, and they can be read.
    private func load() async {
        while !Task.isCancelled {
            // `try?`: while the database is away, it is tried again.
            if self.writer.isActive, (try? await self.parts.crashes.load()) != nil,
                let connections = try? await self.parts.connections.allResealed()
            {
                // One that a client made meanwhile has its keeper.
                for connection in connections { self.begin(connection) }
                return
            }
            // Nobody tells when this process becomes the active writer. `try?`: cancelled, the loop ends.
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    func keeper(_ id: String) -> ConnectionKeeper? { self.keepers.withLockedValue { $0[id] } }

    func all(tenant: String) -> [ConnectionKeeper] {
        self.keepers.withLockedValue { Array($0.values) }.filter { $0.connection.tenant == tenant }
    }

    /// The studios of a tenant that are connected.
    func studios(tenant: String) -> [Studio] { self.all(tenant: tenant).compactMap(\.status.studio) }

    /// A connection is new, or other settings are stored. A link that they don't concern goes on.
    @discardableResult
    func apply(_ connection: OBSConnection) async -> ConnectionKeeper {
        if let keeper = self.keeper(connection.id), keeper.connection.hasLink(of: connection) {
            keeper.update(connection)
            return keeper
        }
        return await self.restart(connection)
    }

    /// Makes a link anew, whatever happened before. Of several who want that at once, each ends the keeper of the one before.
    func restart(_ connection: OBSConnection) async -> ConnectionKeeper {
        while true {
            await self.end(connection.id)
            await self.parts.crashes.forgive(connection.id)
            if let keeper = self.begin(connection) { return keeper }
        }
    }

    func end(_ id: String) async {
        guard let keeper = self.keepers.withLockedValue({ $0.removeValue(forKey: id) }) else { return }
        await keeper.stop()
        // `try?`: the next keeper tells how it is.
        try? await self.parts.connections.tell(nil, id)
    }

    /// `nil`: the connection has a keeper already.
    @discardableResult
    private func begin(_ connection: OBSConnection) -> ConnectionKeeper? {
        let keeper = ConnectionKeeper(connection, self.parts)
        let isFirst = self.keepers.withLockedValue { keepers -> Bool in
            guard keepers[connection.id] == nil else { return false }
            keepers[connection.id] = keeper
            return true
        }
        guard isFirst else { return nil }
        self.start.yield(keeper)
        return keeper
    }

    /// What performance-monitor wants to know; the metrics of all tenants are recorded on the way.
    func gauges() -> [String: Double] {
        let wanted = self.keepers.withLockedValue { Array($0.values) }.filter(\.connection.enabled)
        let isConnected = wanted.filter(\.status.isConnected).count
        self.connectedGauge.record(isConnected)
        self.missingGauge.record(wanted.count - isConnected)
        let keepers = self.all(tenant: Principal.defaultTenant).filter(\.connection.enabled)
        let connected = keepers.filter(\.status.isConnected)
        var gauges = [
            "obs.connected": Double(connected.count), "obs.missing": Double(keepers.count - connected.count),
        ]
        let first = connected.first { $0.connection.name == OBSConnection.defaultName } ?? connected.first
        if let stats = first?.status.stats?.payload {
            gauges["obs.fps"] = stats.fps
            gauges["obs.renderTime"] = stats.renderTime
            gauges["obs.skippedFrames"] = Double(stats.outputSkippedFrames)
            gauges["obs.totalFrames"] = Double(stats.outputTotalFrames)
        }
        return gauges
    }
}
