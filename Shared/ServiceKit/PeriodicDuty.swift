public import ServiceLifecycle

/// Something that a process does every so often until it shuts down.
public struct PeriodicDuty: Service {
    private let interval: Duration
    private let body: @Sendable () async -> Void

    public init(every interval: Duration, _ body: @escaping @Sendable () async -> Void) {
        self.interval = interval
        self.body = body
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.body()
                // `try?`: the sleep fails only when it is cancelled, and then the loop ends.
                try? await Task.sleep(for: self.interval)
            }
        }
    }
}
