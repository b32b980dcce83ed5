// swift-tools-version: 6.2
import PackageDescription

// A package of its own, since libFuzzer's flags are no good for anything else. `./crosspoint test parsers` builds and runs it.
let package = Package(
    name: "fuzzing",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "crosspoint", path: "../..")],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [.product(name: "Parsers", package: "crosspoint")],
            swiftSettings: [.unsafeFlags(["-sanitize=fuzzer"]), .treatAllWarnings(as: .error)],
            // Gold, the default, cannot link libFuzzer.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])])
    ],
    swiftLanguageModes: [.v6]
)
