import Access
import Bus
import Configuration
import Database
import Events
import Foundation
import NIOConcurrencyHelpers
import ServiceKit

@testable import Auth
@testable import CameraEvents
@testable import DomainService
@testable import Gateway
@testable import OBSBridge
@testable import PerformanceMonitor
@testable import RadioPlayout
@testable import StreamMetrics

/// Every key that the suite's configurations read, found by building each of them.
struct RecordedKeys {
    struct Reading: Hashable {
        let type: String
        /// What it was without being set; `nil`: nothing.
        let value: String?
    }

    let byKey: [String: Reading]

    /// Keys that need a value, or their configuration would not be made.
    static let required: Set<String> = [
        "auth.secrets.key.file", "auth.owner.key.file", "bus.key.file", "bus.peers.file", "database.url",
        "obs-bridge.secrets.key.file",
    ]

    init() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "documents-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let digits = String(repeating: "0", count: 64)
        let (secrets, owner) = (folder.appending(path: "secrets"), folder.appending(path: "owner"))
        try Data(digits.utf8).write(to: secrets)
        try Data("xp_\(digits)".utf8).write(to: owner)
        let bus = folder.appending(path: "bus-peers")
        let own = BusKey(secret: [UInt8](repeating: 0, count: 32)).publicKey
        let others = [1, 2].map { BusKey(secret: [UInt8](repeating: $0, count: 32)).publicKey }
        try Data(BusPeers(suite: others[0], auth: others[1], gateway: own).text.utf8).write(to: bus)

        let recorder = Recorder()
        let provider = InMemoryProvider(values: [
            "auth.secrets.key.file": .init(stringLiteral: secrets.path),
            "auth.owner.key.file": .init(stringLiteral: owner.path),
            "bus.key.file": .init(stringLiteral: secrets.path),
            "bus.peers.file": .init(stringLiteral: bus.path),
            "database.url": "postgresql:///unused",
            "obs-bridge.secrets.key.file": .init(stringLiteral: secrets.path),
        ])
        let config = ConfigReader(provider: provider, accessReporter: recorder)
        for service in ServiceName.allCases {
            _ = try HTTPConfig(config, service: service.rawValue, offset: service.portOffset)
        }
        _ = try BusConfig(
            config, for: .gateway, portsBase: config.portsBase(), secret: config.secretKey(forKey: "bus.key.file"),
            peers: config.textFile(forKey: "bus.peers.file"))
        _ = try TrustedProxies(config)
        _ = try AnonymousAccess(config)
        _ = AccessConfig(config)
        _ = try DatabaseConfiguration(config, schema: "unused")
        _ = try EventLogConfig(config)
        _ = try GatewayConfig(config, loops: nil)
        _ = try AuthConfig(config)
        _ = try OBSBridgeConfig(config)
        _ = try StreamMetricsConfig(config)
        _ = try RadioPlayoutConfig(config)
        _ = try CameraEventsConfig(config)
        _ = try PerformanceMonitorConfig(config)
        self.byKey = recorder.readings
    }

    private final class Recorder: AccessReporter {
        private let found = NIOLockedValueBox<[String: Reading]>([:])

        var readings: [String: Reading] { self.found.withLockedValue { $0 } }

        func report(_ event: AccessEvent) {
            let key = event.metadata.key.components.joined(separator: ".")
            // `try?`: a key that could not be read has no value.
            let content = (try? event.result.get())?.content
            let value: String? =
                switch content {
                case .string(let text): text
                case .int(let number): "\(number)"
                case .bool(let flag): "\(flag)"
                case .stringArray(let list): list.isEmpty ? nil : list.joined(separator: ",")
                default: nil
                }
            let reading = Reading(
                type: event.metadata.valueType.rawValue, value: RecordedKeys.required.contains(key) ? nil : value)
            self.found.withLockedValue { $0[key] = reading }
        }
    }
}
