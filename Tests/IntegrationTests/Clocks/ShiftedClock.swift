import Foundation

/// A library that shifts the wall clock of a process that is started with it.
enum ShiftedClock {
    /// Compiles it with the compiler that comes with Swift, and removes it after the body.
    /// - Parameter body: given a function that returns the environment of a process whose clock is that many seconds ahead.
    static func with(_ body: (_ environment: (_ seconds: Int) -> [String: String]) async throws -> Void) async throws {
        let library = FileManager.default.temporaryDirectory.appending(path: "shift-\(UUID().uuidString).so")
        // `try?`: it is among temporary files.
        defer { try? FileManager.default.removeItem(at: library) }
        let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "shift.c")
        let compiler = Process()
        compiler.executableURL = URL(filePath: "/usr/bin/env")
        compiler.arguments = ["clang", "-shared", "-fPIC", "-o", library.path, source.path]
        try compiler.run()
        compiler.waitUntilExit()
        guard compiler.terminationStatus == 0 else { throw Suite.Failure(description: "clang failed") }
        try await body { ["LD_PRELOAD": library.path, "CLOCK_SHIFT_SECONDS": "\($0)"] }
    }
}
