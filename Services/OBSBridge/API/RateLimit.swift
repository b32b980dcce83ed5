import Access
import DomainService
import HTTPTypes
import Hummingbird
import Peers
import ServiceKit

/// How many requests one address may send (contract source-saver §10).
struct RateLimit: Sendable {
    /// 0: any number.
    var requests: Int
    var window: Duration
    /// The clients of a single-user installation are all on its machine, and a load balancer's without `http.trustedProxies`
    /// would be one.
    var includesLoopback: Bool
}

/// Refuses with 429 what is over the limit. The window of an address begins with its first request.
struct RateLimitMiddleware: RouterMiddleware {
    private let limit: RateLimit
    private let windows = RequestWindows()

    init(_ limit: RateLimit) { self.limit = limit }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let address = context.clientAddress
        // An address that a header names is no address of this machine.
        let isExempt = !self.limit.includesLoopback && context.peer.isLoopback && address == context.peer.address
        if self.limit.requests > 0, !isExempt {
            let wait = await self.windows.add(address, limit: self.limit, now: .now)
            if let wait {
                throw APIFailure(
                    .tooManyRequests, "Too many requests, please try again later.",
                    headers: [.retryAfter: "\(max(1, wait.components.seconds))"])
            }
        }
        return try await next(request, context)
    }
}

/// Counts requests by address.
actor RequestWindows {
    private struct Window {
        var end: ContinuousClock.Instant
        var count: Int
    }

    private var windows: [String: Window] = [:]

    /// Addresses that are told apart; when there are more, those whose window ends first are forgotten.
    private static let addressesMax = 10_000

    /// Counts one request. The time until the window ends if it is over the limit.
    func add(_ address: String, limit: RateLimit, now: ContinuousClock.Instant) -> Duration? {
        var window = self.windows[address] ?? Window(end: now, count: 0)
        if window.end <= now {
            window = Window(end: now + limit.window, count: 0)
            self.makeRoom(now)
        }
        window.count += 1
        self.windows[address] = window
        return window.count > limit.requests ? window.end - now : nil
    }

    private func makeRoom(_ now: ContinuousClock.Instant) {
        guard self.windows.count >= Self.addressesMax else { return }
        self.windows = self.windows.filter { $0.value.end > now }
        guard self.windows.count >= Self.addressesMax else { return }
        let oldest = self.windows.sorted { $0.value.end < $1.value.end }.prefix(Self.addressesMax / 10)
        for (address, _) in oldest { self.windows[address] = nil }
    }
}
