public import Configuration
import Glibc
public import Logging
import Metrics
public import ServiceLifecycle
import Threads
import UnixSignals

/// What every process has before it has anything else: its configuration, its logger, its metrics.
public struct ServiceProcess: Sendable {
    /// As the bus, the logs and the configuration spell it, for example `obs-bridge`.
    public let name: String
    public let config: ConfigReader
    public let logger: Logger
    public let metrics: PrometheusRegistry
    private let log: LogWriter?

    /// How long the end of a process waits for whoever reads its log.
    private static let logFlushMax = Duration.seconds(1)

    /// Reads the configuration: environment, then the JSON file that `CONFIG_FILE_PATH` names (if any), then defaults in code.
    private init(name: String) async throws {
        let environment = EnvironmentVariablesProvider()
        let fromEnvironment = ConfigReader(provider: environment)
        if fromEnvironment.string(forKey: "config.filePath") != nil {
            let file = try await FileProvider<JSONSnapshot>(config: fromEnvironment.scoped(to: "config"))
            self.config = ConfigReader(providers: [environment, file])
        } else {
            self.config = fromEnvironment
        }
        self.name = name
        let level = self.config.string(forKey: "log.level", default: "info")
        guard let level = Logger.Level(rawValue: level) else {
            throw ConfigurationError(
                key: "log.level", problem: "must be trace, debug, info, notice, warning, error or critical")
        }
        self.metrics = PrometheusRegistry()
        MetricsSystem.bootstrap(self.metrics)
        let log = LogWriter(descriptor: STDOUT_FILENO) { JSONLogHandler.notice(of: $0, service: name) }
        self.log = log
        LoggingSystem.bootstrap { label in JSONLogHandler(label: label, service: name, writer: log) }
        var logger = Logger(label: name)
        logger.logLevel = level
        self.logger = logger
    }

    /// A process whose parts are built and not run: it sets up neither logging nor metrics.
    public init(name: String, config: ConfigReader, logger: Logger) {
        self.name = name
        self.config = config
        self.logger = logger
        self.metrics = PrometheusRegistry()
        self.log = nil
    }

    /// The whole life of a process: makes it, builds its parts, runs them until SIGTERM or SIGINT, and ends within `shutdownMax` and
    /// 2 s of it. The parts stop in reverse order. A problem with the configuration, a port or a part ends the process with status 1
    /// and says why.
    public static func run(
        _ name: String, shutdownMax: Duration = .seconds(8),
        parts: @Sendable (ServiceProcess) async throws -> [any Service]
    ) async -> Never {
        // A peer that hangs up is an error of that call, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        OpenFileLimit.adjust()
        Heap.configure()
        do {
            let process = try await ServiceProcess(name: name)
            do {
                try await process.run(parts(process), shutdownMax: shutdownMax)
            } catch {
                process.logger.critical("The process ends", metadata: ["error": "\(error)"])
                process.flushLog()
                exit(1)
            }
            process.logger.notice("Stopped")
            process.flushLog()
        } catch {
            let line = Array("\(name): \(error)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            exit(1)
        }
        exit(0)
    }

    private func flushLog() {
        // What nobody has read by then is lost.
        _ = self.log?.flush(within: Self.logFlushMax)
    }

    private func run(_ services: [any Service], shutdownMax: Duration) async throws {
        var configuration = ServiceGroupConfiguration(
            services: ([HeapRelease(logger: self.logger)] + services).map {
                .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: self.logger)
        configuration.maximumGracefulShutdownDuration = shutdownMax
        configuration.maximumCancellationDuration = .seconds(1)
        self.logger.notice("Starting")
        try await ServiceGroup(configuration: configuration).run()
    }
}

/// A configuration value that cannot be used.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let key: String
    public let problem: String

    public init(key: String, problem: String) {
        self.key = key
        self.problem = problem
    }

    public var description: String { "\(self.key) \(self.problem)" }
}
