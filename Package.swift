// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func product(_ name: String, _ package: String) -> Target.Dependency { .product(name: name, package: package) }

let argumentParser = product("ArgumentParser", "swift-argument-parser")
let configuration = product("Configuration", "swift-configuration")
let crypto = product("Crypto", "swift-crypto")
let cryptoExtras = product("CryptoExtras", "swift-crypto")
let httpTypes = product("HTTPTypes", "swift-http-types")
let hummingbird = product("Hummingbird", "hummingbird")
let jwt = product("JWTKit", "jwt-kit")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let locks = product("NIOConcurrencyHelpers", "swift-nio")
let logging = product("Logging", "swift-log")
let metrics = product("Metrics", "swift-metrics")
let nio = product("NIOCore", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let tls = [product("NIOSSL", "swift-nio-ssl"), product("NIOTLS", "swift-nio")]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Shared/\(name)", swiftSettings: strict)
}

/// A service that owns data: its tables in `Migrations/`, everything else from the libraries.
func domainService(_ name: String, _ more: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name,
        dependencies: [
            "Events", "Bus", "Database", "ServiceKit", "Access", "DomainService", configuration, httpTypes, hummingbird,
            lifecycle,
            logging, nio,
        ] + more,
        path: "Services/\(name)",
        exclude: ["README.md"],
        resources: [.embedInCode("Migrations"), .embedInCode("openapi.yaml")],
        swiftSettings: strict)
}

/// A program in C that the benchmark runs beside ours.
func benchmarkProgram(_ name: String, linking libraries: [String] = []) -> Target {
    .executableTarget(
        name: name, path: "Tests/Benchmarks/\(name)", linkerSettings: libraries.map { .linkedLibrary($0) })
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)Tests", exclude: exclude,
        resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "crosspoint",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "gateway", targets: ["Gateway"]),
        .executable(name: "auth", targets: ["Auth"]),
        .executable(name: "obs-bridge", targets: ["OBSBridge"]),
        .executable(name: "stream-metrics", targets: ["StreamMetrics"]),
        .executable(name: "radio-playout", targets: ["RadioPlayout"]),
        .executable(name: "camera-events", targets: ["CameraEvents"]),
        .executable(name: "performance-monitor", targets: ["PerformanceMonitor"]),
        // What Tests/Fuzzing fuzzes.
        .library(name: "Parsers", targets: ["Events", "ForeignMessages", "Peers", "Requests"]),
    ],
    // Exact: what is built today is what was tested. `Tests/Deployment/dependencies.txt` has what they bring along.
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: ["JSON"]),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        .systemLibrary(name: "CLinux", path: "Shared/CLinux"),
        .systemLibrary(name: "CZeroMQ", path: "Shared/CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CLibpq", path: "Shared/CLibpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CLibwebsockets", path: "Shared/CLibwebsockets", providers: [.apt(["libwebsockets-dev"])]),

        library("Events", []),
        library("Threads", ["CLinux", locks, metrics]),
        library(
            "ServiceKit",
            [
                "Peers", "Requests", "Threads", configuration, product("CoreMetrics", "swift-metrics"), httpTypes,
                hummingbird, product("HummingbirdCore", "hummingbird"), lifecycle,
                product("UnixSignals", "swift-service-lifecycle"), locks, logging, metrics, nio,
                product("NIOHTTP1", "swift-nio"),
            ]),
        library("Downloads", [locks]),
        library("Peers", []),
        library("Requests", [httpTypes]),
        library("ForeignMessages", ["Events", "Requests", httpTypes]),
        library("Dialects", ["Events"]),
        library("Bus", ["CZeroMQ", "Events", "Threads", configuration, lifecycle, locks, logging, metrics]),
        library("WebSockets", ["CLibwebsockets", "Threads", locks, logging, metrics]),
        library("Database", ["CLibpq", "Events", "Threads", lifecycle, locks, logging, metrics]),
        library(
            "Access",
            [
                "Bus", "Events", "Peers", "ServiceKit", configuration, crypto, httpTypes, hummingbird, jwt, lifecycle,
                locks, logging, metrics, nio, product("NIOPosix", "swift-nio"),
            ]),
        library(
            "DomainService",
            [
                "Access", "Bus", "Database", "Events", "ServiceKit", configuration, httpTypes, hummingbird, lifecycle,
                logging, nio,
            ]),

        .executableTarget(
            name: "Gateway",
            dependencies: [
                "Access", "Bus", "Dialects", "Events", "Peers", "Requests", "ServiceKit", "Threads", "WebSockets",
                argumentParser, configuration, crypto, httpTypes, hummingbird,
                product("HummingbirdCore", "hummingbird"), jwt,
                lifecycle, locks, logging, metrics, nio, nioPosix,
            ] + tls,
            path: "Services/Gateway",
            exclude: ["README.md"],
            resources: [.embedInCode("openapi.yaml")],
            swiftSettings: strict),
        domainService("Auth", ["Downloads", "Threads", crypto, cryptoExtras, jwt, locks, metrics]),
        domainService(
            "OBSBridge", ["Downloads", "ForeignMessages", "Peers", "Threads", "WebSockets", crypto, locks, metrics]),
        domainService("StreamMetrics", ["Downloads", "ForeignMessages", crypto, locks, metrics]),
        domainService("RadioPlayout"),
        domainService("CameraEvents"),
        domainService("PerformanceMonitor"),

        .target(
            name: "TestSupport",
            dependencies: [
                "Database", "Events", nio, product("NIOHTTP1", "swift-nio"), product("NIOPosix", "swift-nio"),
                product("NIOWebSocket", "swift-nio"), crypto, lifecycle, locks, logging,
            ] + tls,
            path: "Shared/TestSupport", swiftSettings: strict),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "Access", "Bus", "Database", "Events", "TestSupport", argumentParser, crypto, jwt, locks, logging,
            ],
            path: "Tests/Benchmarks/Bench", swiftSettings: strict),
        benchmarkProgram("LoadGenerator"),
        benchmarkProgram("Floor", linking: ["zmq"]),
        benchmarkProgram("BareLibwebsockets", linking: ["websockets", "uv"]),
        tests("Events", ["Events"]),
        tests("Threads", ["Threads"]),
        tests("Peers", ["Peers"]),
        tests("Requests", ["Requests"]),
        tests("Dialects", ["Dialects", "Events"], resources: [.copy("Fixtures")]),
        tests("Bus", ["Bus", "Events", "TestSupport", "Threads", configuration, lifecycle, locks, logging]),
        tests(
            "WebSockets",
            [
                "WebSockets", "Threads", "TestSupport", locks, logging, nio, nioPosix,
                product("NIOHTTP1", "swift-nio"), product("NIOWebSocket", "swift-nio"),
            ] + tls),
        tests("Database", ["Database", "Events", "TestSupport", logging]),
        tests(
            "ServiceKit",
            [
                "Peers", "ServiceKit", configuration, product("CoreMetrics", "swift-metrics"), httpTypes, hummingbird,
                logging,
                nio,
            ]),
        tests(
            "Access",
            [
                "Access", "Bus", "Events", "TestSupport", product("CryptoExtras", "swift-crypto"), jwt, lifecycle,
                locks, logging,
            ]),
        tests(
            "Gateway",
            [
                "Access", "Bus", "Gateway", "Dialects", "Events", "Requests", "ServiceKit", "TestSupport", "Threads",
                "WebSockets",
                configuration, crypto, jwt, locks, logging, nio, nioPosix,
            ] + tls),
        tests("Auth", ["Auth", "Events", "ServiceKit", httpTypes]),
        tests("OBSBridge", ["OBSBridge", "Events", "ForeignMessages", "ServiceKit", configuration, crypto, httpTypes]),
        tests("PerformanceMonitor", ["Events", "PerformanceMonitor"]),
        tests("RadioPlayout", ["RadioPlayout", "Events", "ServiceKit"]),
        tests("CameraEvents", ["CameraEvents", "Database", "Events", "ServiceKit", httpTypes]),
        tests(
            "Documents",
            [
                "Access", "Auth", "Bus", "CameraEvents", "Database", "Dialects", "DomainService", "Events", "Gateway",
                "OBSBridge", "PerformanceMonitor", "RadioPlayout", "ServiceKit", "StreamMetrics", "TestSupport",
                configuration, hummingbird, httpTypes, lifecycle, locks, logging,
            ]),
        tests(
            "Integration",
            [
                "Bus", "Database", "Events", "ServiceKit", "TestSupport", product("NIOHTTP1", "swift-nio"),
                product("NIOPosix", "swift-nio"),
                product("NIOWebSocket", "swift-nio"), crypto, locks, cryptoExtras, nio, logging,
            ] + tls, exclude: ["Clients", "Clocks/shift.c", "Hostile/Tables", "Rights/routes.json"]),
        tests(
            "StreamMetrics",
            [
                "StreamMetrics", "Database", "Events", "ForeignMessages", "ServiceKit", "TestSupport", configuration,
                httpTypes, logging,
            ],
            resources: [.copy("Callbacks")]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)

// What deploy/docker/Dockerfile builds: what we depend on as a layer of its own, then the services without tests. And what
// Tests/Fuzzing builds: the parsers.
switch Context.environment["CROSSPOINT_IMAGE_STAGE"] {
case "dependencies":
    var products: [String: Target.Dependency] = [:]
    for case .productItem(let name, let package, let aliases, let condition) in package.targets.flatMap(\.dependencies)
    {
        products[name] = .productItem(
            name: name, package: package, moduleAliases: aliases, condition: condition)
    }
    package.products = []
    package.targets = [
        .target(
            name: "Dependencies", dependencies: products.keys.sorted().compactMap { products[$0] }, path: "Dependencies"
        )
    ]
case "fuzzing":
    let names: Set = ["Events", "ForeignMessages", "Peers", "Requests"]
    package.products.removeAll { $0.name != "Parsers" }
    package.targets.removeAll { !names.contains($0.name) }
    package.dependencies.removeAll { dependency in
        guard case .sourceControl(_, let location, _) = dependency.kind else { return true }
        return !location.hasSuffix("/swift-http-types")
    }
case "services":
    package.targets.removeAll { $0.path?.hasPrefix("Tests/") == true || $0.name == "TestSupport" }
default: break
}
