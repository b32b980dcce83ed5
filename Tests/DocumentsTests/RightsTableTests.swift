import Configuration
import DomainService
import Events
import Foundation
import Hummingbird
import Logging
import ServiceKit
import ServiceLifecycle
import TestSupport
import Testing

@testable import Access
@testable import Auth
@testable import CameraEvents
@testable import Gateway
@testable import OBSBridge
@testable import PerformanceMonitor
@testable import RadioPlayout
@testable import StreamMetrics

/// The table of rights has a row for each route that there is, and none for others.
@Suite struct RightsTableTests {
    private typealias Make = (ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service])

    @Test func `every route has a row that says what it needs`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "rights-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let secret = folder.appending(path: "secret").path
        try String(repeating: "0", count: 64).write(toFile: secret, atomically: true, encoding: .utf8)
        var routes: [ServiceName: Set<String>] = [:]
        for (name, make) in [
            (.auth, Auth.make), (.obsBridge, OBSBridge.make), (.streamMetrics, StreamMetrics.make),
            (.radioPlayout, RadioPlayout.make), (.cameraEvents, CameraEvents.make),
            (.performanceMonitor, PerformanceMonitor.make),
        ] as [(ServiceName, Make)] {
            routes[name] = Self.routes(try make(Self.process(name, secret: secret)).service.router)
        }
        let operators = Router(context: APIContext.self)
        operators.addOperatorRoutes(readiness: Readiness(), metrics: PrometheusRegistry(), openAPI: [])
        operators.addReadinessRoute(Readiness())
        OperatorsAPI.addRoutes(to: operators, describe: { _ in nil }, explain: { _, _ in nil })
        routes[.gateway] = Self.routes(operators)

        let rows = try RouteRight.table()
        #expect(Set(rows.map { "\($0.service) \($0.route)" }).count == rows.count, "a route has two rows")
        for service in ServiceName.allCases {
            let listed = Set(rows.filter { $0.service == service }.map(\.route))
            let there = routes[service] ?? []
            #expect(there.subtracting(listed).sorted() == [], "\(service) has routes without a row")
            #expect(listed.subtracting(there).sorted() == [], "\(service) has no such routes")
        }
    }

    @Test func `every row with a scope names its room`() throws {
        for row in try RouteRight.table() {
            let needsScope = !["nothing", "credential", "form"].contains(row.needs)
            #expect((row.room != nil) == needsScope, "\(row.service) \(row.route)")
        }
    }

    @Test func `auth's README has the scopes of the roles`() throws {
        let text = try #require(Repository.text("Services/Auth/README.md"))
        var scopes: Set<Scope> = []
        for role in [Role.viewer, .dj, .manager] {
            let row = try #require(text.split(separator: "\n").first { $0.hasPrefix("| `\(role)` | `") })
            scopes.formUnion(row.matches(of: /`([a-z-]+:[a-z-]+)`/).map { Scope(String($0.1)) })
            #expect(scopes == role.scopes.all, "\(role)")
        }
        #expect(Role.admin.scopes == [.all] && Role.owner.scopes == [.all])
    }

    private static func routes(_ router: Router<APIContext>) -> Set<String> {
        Set(router.routes.map { "\($0.method.rawValue) \($0.path.description)" })
    }

    /// A process whose sockets are on free ports, and whose database nobody asks.
    private static func process(_ name: ServiceName, secret: String) -> ServiceProcess {
        var values: [AbsoluteConfigKey: ConfigValue] = [
            "database.url": "postgresql:///unused", "bus.open": true,
            "auth.secrets.key.file": .init(stringLiteral: secret),
            "obs-bridge.secrets.key.file": .init(stringLiteral: secret),
        ]
        values[AbsoluteConfigKey(ConfigKey("bus.\(name.rawValue).port"))] = 0
        return ServiceProcess(
            name: name.rawValue, config: ConfigReader(provider: InMemoryProvider(values: values)),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}
