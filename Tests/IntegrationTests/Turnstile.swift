/// Lets only so many suites run side by side: each is up to nine processes, and a test that waits for one of them must not starve.
actor Turnstile {
    static let suites = Turnstile(places: 4)

    private var places: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { self.places = places }

    func enter() async {
        guard self.places == 0 else {
            self.places -= 1
            return
        }
        await withCheckedContinuation { self.waiting.append($0) }
    }

    func leave() {
        guard self.waiting.isEmpty else { return self.waiting.removeFirst().resume() }
        self.places += 1
    }

    /// Runs the body when there is a place.
    static func pass<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        await Self.suites.enter()
        do {
            let value = try await body()
            await Self.suites.leave()
            return value
        } catch {
            await Self.suites.leave()
            throw error
        }
    }
}
