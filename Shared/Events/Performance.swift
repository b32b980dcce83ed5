/// What the machine and the suite do at the moment: contract source-saver §4.
public struct PerformanceUpdate: EventPayload, Hashable {
    public static let type: EventType = "performance.update"

    public struct System: Sendable, Hashable, Codable {
        /// Per cent of all cores.
        public var cpu: Double
        /// Used, in MB.
        public var memory: Double
        /// Of the machine, in seconds.
        public var uptime: Int

        public init(cpu: Double, memory: Double, uptime: Int) {
            self.cpu = cpu
            self.memory = memory
            self.uptime = uptime
        }
    }

    public struct Application: Sendable, Hashable, Codable {
        /// WebSocket clients of all gateways.
        public var activeConnections: Int
        /// Of the services' HTTP APIs since the last update, in milliseconds; 0 when nobody asked anything.
        public var averageResponseTime: Double

        public init(activeConnections: Int, averageResponseTime: Double) {
            self.activeConnections = activeConnections
            self.averageResponseTime = averageResponseTime
        }
    }

    public struct Sources: Sendable, Hashable, Codable {
        public var total: Int
        public var active: Int
        /// Per cent; `null` while nobody measures it.
        public var averageCpuUsage: Double?

        public init(total: Int, active: Int, averageCpuUsage: Double?) {
            self.total = total
            self.active = active
            self.averageCpuUsage = averageCpuUsage
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.total, forKey: .total)
            try container.encode(self.active, forKey: .active)
            try container.encode(self.averageCpuUsage, forKey: .averageCpuUsage)
        }
    }

    public var system: System
    public var application: Application
    public var sources: Sources

    public init(system: System, application: Application, sources: Sources) {
        self.system = system
        self.application = application
        self.sources = sources
    }
}

/// A measurement crossed its threshold.
public struct PerformanceAlert: EventPayload, Hashable {
    public static let type: EventType = "performance.alert"

    public enum Kind: String, Sendable, Hashable, Codable {
        case highCPUUsage = "high_cpu_usage"
        case highMemoryUsage = "high_memory_usage"
    }

    public enum Severity: String, Sendable, Hashable, Codable {
        case warning, critical
    }

    public var type: Kind
    public var value: Double
    public var threshold: Double
    public var severity: Severity
    /// Whose measurement it is, for example `system`.
    public var source: String
    public var message: String

    public init(type: Kind, value: Double, threshold: Double, severity: Severity, source: String, message: String) {
        self.type = type
        self.value = value
        self.threshold = threshold
        self.severity = severity
        self.source = source
        self.message = message
    }
}

/// How well the whole suite is.
public enum HealthStatus: String, Sendable, Hashable, Codable {
    case healthy, degraded, unhealthy
}

/// The suite's health changed.
public struct SystemStatusChange: EventPayload, Hashable {
    public static let type: EventType = "system.statusChange"

    public struct Checks: Sendable, Hashable, Codable {
        public enum MemoryUsage: String, Sendable, Hashable, Codable {
            case normal, high
        }

        public var obsConnected: Bool
        public var sourceManagerInitialized: Bool
        public var memoryUsage: MemoryUsage

        public init(obsConnected: Bool, sourceManagerInitialized: Bool, memoryUsage: MemoryUsage) {
            self.obsConnected = obsConnected
            self.sourceManagerInitialized = sourceManagerInitialized
            self.memoryUsage = memoryUsage
        }
    }

    public var previousStatus: HealthStatus
    public var currentStatus: HealthStatus
    /// Names what is wrong, or says that all is well again.
    public var reason: String
    public var checks: Checks

    public init(previousStatus: HealthStatus, currentStatus: HealthStatus, reason: String, checks: Checks) {
        self.previousStatus = previousStatus
        self.currentStatus = currentStatus
        self.reason = reason
        self.checks = checks
    }
}

/// An operation failed. Any service may publish it.
public struct SystemError: EventPayload, Hashable {
    public static let type: EventType = "system.error"

    public enum Code: String, Sendable, Hashable, Codable {
        case activationFailed = "ACTIVATION_FAILED"
        case deactivationFailed = "DEACTIVATION_FAILED"
        case obsConnectionFailed = "OBS_CONNECTION_FAILED"
        case sceneSyncFailed = "SCENE_SYNC_FAILED"
    }

    public struct Details: Sendable, Hashable, Codable {
        public var reason: String
        /// Whether the same operation may succeed later.
        public var retryable: Bool

        public init(reason: String, retryable: Bool) {
            self.reason = reason
            self.retryable = retryable
        }
    }

    public var error: String
    /// The source that it concerns, if any.
    public var sourceId: String?
    public var errorCode: Code
    public var details: Details

    public init(error: String, sourceId: String?, errorCode: Code, details: Details) {
        self.error = error
        self.sourceId = sourceId
        self.errorCode = errorCode
        self.details = details
    }
}
