/// Whose key pair a process proves itself with on the bus.
public enum BusRole: String, Sendable, Hashable, Codable, CaseIterable {
    /// Every service that owns data, but auth.
    case suite
    case auth
    case gateway
}

extension Set<BusRole> {
    /// Every process of the suite.
    public static let all = Self(BusRole.allCases)
}

extension ServiceName {
    /// The role whose key pair its processes have.
    public var busRole: BusRole {
        switch self {
        case .gateway: .gateway
        case .auth: .auth
        case .obsBridge, .streamMetrics, .radioPlayout, .cameraEvents, .performanceMonitor: .suite
        }
    }

    /// Throws `forbidden` if who speaks for this process has proved another role. On an open bus, nobody proves anything.
    public func checkRole(_ asker: BusRole?) throws(CommandFailure) {
        guard let asker, asker != self.busRole else { return }
        throw CommandFailure(.forbidden, "\(asker.rawValue) does not speak for \(self.rawValue)")
    }
}
