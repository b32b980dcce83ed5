import Events
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// Tokens that name keys which the verifier does not have: new ones, and rubbish.
@Suite struct KeyRotationTests {
    private let auth = FakeAuth()

    private var fetches: Int { self.auth.state.withLockedValue { $0.fetches } }

    @Test func `a token of a new key is good at once, however lately keys were asked for`() async throws {
        try await withVerifier(self.auth) { verifier in
            for key in ["second", "third"] {
                self.auth.addKey(key)
                let token = try await self.auth.token(key: key, id: key)
                let before = self.fetches
                // Many come with it at once, and share the question.
                try await withThrowingTaskGroup(of: Principal.self) { group in
                    for _ in 0..<100 { group.addTask { try await verifier.verify(token, remoteAddress: nil) } }
                    for try await principal in group { #expect(principal.signingKey == key) }
                }
                #expect(self.fetches == before + 1)
            }
        }
    }

    @Test func `rubbish with random keys asks once in two seconds, and holds nobody up`() async throws {
        try await withVerifier(self.auth) { verifier in
            let stranger = FakeAuth()
            var rubbish: [String] = []
            for number in 0..<200 {
                stranger.addKey("random \(number)")
                rubbish.append(try await stranger.token(key: "random \(number)"))
            }
            let good = try await self.auth.token()
            let (before, start) = (self.fetches, ContinuousClock.now)
            await withTaskGroup(of: AccessError?.self) { group in
                for token in rubbish {
                    group.addTask { await accessError { try await verifier.verify(token, remoteAddress: nil) } }
                }
                let asked = ContinuousClock.now
                #expect(await accessError { try await verifier.verify(good, remoteAddress: nil) } == nil)
                #expect(ContinuousClock.now - asked < .seconds(1))
                for await error in group { #expect(error == .invalid("key")) }
            }
            let seconds = Int((ContinuousClock.now - start).components.seconds)
            #expect(self.fetches - before <= 1 + seconds / 2)
            // What auth does not have is known for as long as its keys are the same.
            let again = self.fetches
            for token in rubbish {
                #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .invalid("key"))
            }
            #expect(self.fetches == again)
        }
    }

    @Test func `with auth away nobody can tell whether a key is new`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        try await with(client) {
            try await with(self.auth.server()) { try await haveKeys(verifier, self.auth) }
            self.auth.addKey("second")
            let token = try await self.auth.token(key: "second")
            #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .unavailable)
            try await with(self.auth.server()) {
                let principal = try await verifier.verify(token, remoteAddress: nil)
                #expect(principal.signingKey == "second")
            }
        }
    }

    @Test func `who goes while waiting takes nobody along`() async throws {
        try await withVerifier(self.auth) { verifier in
            self.auth.addKey("second")
            let token = try await self.auth.token(key: "second")
            let gone = Task { try await verifier.verify(token, remoteAddress: nil) }
            async let stays = verifier.verify(token, remoteAddress: nil)
            try await Task.sleep(for: .milliseconds(100))
            gone.cancel()
            #expect(try await stays.signingKey == "second")
        }
    }
}
