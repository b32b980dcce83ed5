import Events
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Bus

@Suite struct HeardPublishersTests {
    private static let position = Position(epoch: 1, term: 1, seq: 9)

    private let now = NIOLockedValueBox(ContinuousClock.now)

    private func publishers() -> HeardPublishers {
        HeardPublishers { [now] in now.withLockedValue { $0 } }
    }

    private func pass(_ duration: Duration) { self.now.withLockedValue { $0 += duration } }

    @Test func `a publisher is heard for three seconds, and was first heard when it was`() {
        let heard = self.publishers()
        #expect(!heard.state(of: .auth).isHeard)
        #expect(heard.state(of: .auth).firstHeard == nil)
        let first = self.now.withLockedValue { $0 }
        heard.note(.auth, at: nil)
        self.pass(.seconds(2))
        #expect(heard.state(of: .auth).isHeard)
        #expect(!heard.state(of: .auth).isFollowed)
        heard.note(.auth, at: Self.position)
        self.pass(.milliseconds(2999))
        #expect(heard.state(of: .auth).isHeard)
        #expect(heard.state(of: .auth).isFollowed)
        self.pass(.milliseconds(1))
        #expect(!heard.state(of: .auth).isHeard)
        #expect(heard.state(of: .auth).firstHeard == first)
    }

    @Test func `nobody falls silent while the subscriber is held back`() {
        let heard = self.publishers()
        heard.note(.auth, at: Self.position)
        self.pass(.seconds(2))
        heard.pause()
        self.pass(.seconds(60))
        #expect(heard.state(of: .auth).isHeard)
        #expect(!heard.state(of: .radioPlayout).isHeard)
        heard.resume()
        self.pass(.milliseconds(900))
        #expect(heard.state(of: .auth).isHeard)
        self.pass(.milliseconds(200))
        #expect(!heard.state(of: .auth).isHeard)
    }

    @Test func `a subscriber that is held back keeps what it knows of its publishers`() async throws {
        let endpoints = Self.endpoints()
        let isCongested = NIOLockedValueBox(false)
        let refusals = NIOLockedValueBox(0)
        let heard = self.publishers()
        let subscriber = Subscriber(
            publishers: [.auth: endpoints], logger: quiet, heard: heard,
            isCongested: {
                let isCongested = isCongested.withLockedValue { $0 }
                if isCongested { refusals.withLockedValue { $0 += 1 } }
                return isCongested
            }
        ) { _, _ in }
        let publisher = try Publisher(endpoint: endpoints.events)
        try await with(subscriber) {
            try await Self.announce(publisher) { heard.state(of: .auth).isHeard }
            isCongested.withLockedValue { $0 = true }
            // Asked a second time, it has dealt with the first answer.
            try await eventually { refusals.withLockedValue { $0 } >= 2 }
            self.pass(.seconds(60))
            #expect(heard.state(of: .auth).isHeard)
        }
    }

    @Test(arguments: [-4, 2])
    func `the difference between a publisher's clock and ours is measured`(behind: Int) async throws {
        let endpoints = Self.endpoints()
        let heard = HeardPublishers()
        let subscriber = Subscriber(
            publishers: [.auth: endpoints], logger: quiet, heard: heard, wallClock: { .now + .seconds(behind) }
        ) { _, _ in }
        let publisher = try Publisher(endpoint: endpoints.events)
        try await with(subscriber) {
            try await Self.announce(publisher) { heard.state(of: .auth).skew != nil }
            let difference = try #require(heard.state(of: .auth).skew) + .seconds(behind)
            #expect(max(difference, .zero - difference) < .milliseconds(900))
        }
    }

    @Test func `a publisher whose log fails is heard by its answer`() async throws {
        let endpoints = Self.endpoints()
        let heard = HeardPublishers()
        let subscriber = Subscriber(publishers: [.auth: endpoints], logger: quiet, heard: heard) { _, _ in }
        let server = CommandServer(endpoint: endpoints.commands, logger: quiet)
        server.answer(ReplayRequest.name, from: .all) { _ in throw CommandFailure(.unavailable, "no database") }
        try await with(subscriber, server) {
            try await eventually { heard.state(of: .auth).isHeard }
            #expect(!heard.state(of: .auth).isFollowed)
            #expect(heard.state(of: .auth).firstHeard != nil)
        }
    }

    private static func endpoints() -> BusEndpoints {
        BusEndpoints(events: freeEndpoint(), commands: freeEndpoint())
    }

    private static func announce(_ publisher: Publisher, until condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        while !condition(), ContinuousClock.now < deadline {
            await publisher.announce(Announcement(publisher: .auth, position: Position(epoch: 0, term: 0, seq: 0)))
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(condition())
    }
}
