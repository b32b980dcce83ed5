import Bus
import Events
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// What was revoked is known, by event or by asking, and told once.
@Suite struct RevocationFeedTests {
    private let auth = FakeAuth()
    private let told = NIOLockedValueBox<[CredentialRevoked]>([])

    private func feed(_ client: CommandClient) -> RevocationFeed {
        let feed = RevocationFeed(commands: client, logger: quiet)
        feed.listen { more in self.told.withLockedValue { $0 += more } }
        return feed
    }

    private func revoke(_ ids: Range<Int>) {
        self.auth.state.withLockedValue { state in
            state.revocations += ids.map { CredentialRevoked(kind: .token, id: "token-\($0)") }
        }
    }

    private var ids: [String] { self.told.withLockedValue { $0.map(\.id) } }

    @Test func `asking finds what no event told, page by page, and each is told once`() async throws {
        let client = self.auth.client()
        let feed = self.feed(client)
        self.auth.state.withLockedValue { $0.pageSize = 10 }
        self.revoke(0..<35)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            feed.learn([CredentialRevoked(kind: .token, id: "token-7")])
            #expect(await feed.poll())
            #expect(self.ids.sorted() == (0..<35).map { "token-\($0)" }.sorted())
            #expect(await feed.poll())
            feed.learn([CredentialRevoked(kind: .token, id: "token-8")])
            self.revoke(35..<36)
            #expect(await feed.poll())
            #expect(self.ids.count == 36)
            #expect(self.auth.state.withLockedValue { $0.polls } == [0, 10, 20, 30, 35, 35])
        }
    }

    @Test func `a log that was made anew is read from its beginning`() async throws {
        let client = self.auth.client()
        let feed = self.feed(client)
        self.revoke(0..<5)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            #expect(await feed.poll())
            self.auth.state.withLockedValue { $0.revocations = [] }
            self.revoke(10..<12)
            #expect(await feed.poll())
            #expect(self.ids.count == 7)
            #expect(feed.snapshot.last == 2)
        }
    }

    @Test func `another term is noticed though its numbers are higher, and while none is known ours stays`()
        async throws
    {
        let client = self.auth.client()
        let feed = self.feed(client)
        self.auth.state.withLockedValue { ($0.term, $0.pageSize) = (7, 3) }
        self.revoke(0..<2)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            #expect(await feed.poll())
            self.auth.state.withLockedValue { ($0.term, $0.revocations) = (UInt64(Int64.max), []) }
            self.revoke(10..<18)
            #expect(await feed.poll())
            #expect(self.ids.sorted() == ((0..<2).map { "token-\($0)" } + (10..<18).map { "token-\($0)" }).sorted())
            #expect(feed.snapshot.term == UInt64(Int64.max) && feed.snapshot.last == 8)
            self.auth.state.withLockedValue { $0.term = nil }
            #expect(await feed.poll())
            #expect(feed.snapshot.term == UInt64(Int64.max))
            #expect(self.auth.state.withLockedValue { $0.polls } == [0, 2, 0, 3, 6, 8])
        }
    }

    @Test func `a number from a cache without its term is not relied on`() async throws {
        let client = self.auth.client()
        let content = AccessCache.Content(keys: nil, revocations: [], last: 2)
        let feed = RevocationFeed(content, commands: client, logger: quiet)
        self.auth.state.withLockedValue { $0.term = 7 }
        self.revoke(0..<4)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            #expect(await feed.poll())
            #expect(feed.snapshot.revocations.count == 4 && feed.snapshot.term == 7)
        }
    }

    @Test func `without an answer nothing is forgotten, and the next one brings the rest`() async throws {
        let client = self.auth.client()
        let feed = self.feed(client)
        self.revoke(0..<2)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            #expect(await feed.poll())
            self.auth.state.withLockedValue { $0.isDeaf = true }
            self.revoke(2..<4)
            #expect(await !feed.poll())
            self.auth.state.withLockedValue { $0.isDeaf = false }
            #expect(await feed.poll())
            #expect(self.ids.count == 4)
        }
    }

    @Test func `before everything that was revoked was told no token is good, and afterwards auth may go`() async throws
    {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let (good, revoked) = (try await self.auth.token(id: "good"), try await self.auth.token(id: "token-0"))
        let forged = try await FakeAuth().token()
        self.revoke(0..<1)
        self.auth.state.withLockedValue { $0.isDeaf = true }
        try await with(client) {
            try await with(self.auth.server()) {
                await self.auth.contact(client)
                // Keys come from auth's memory, revocations from its database.
                for token in [good, revoked] {
                    #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .unavailable)
                }
                #expect(self.auth.state.withLockedValue { $0.fetches } > 1)
                #expect(!verifier.hasKeys)
                let error = await accessError { try await verifier.verify(forged, remoteAddress: nil) }
                #expect(error == .invalid("signature"))
                self.auth.state.withLockedValue { $0.isDeaf = false }
                try await haveKeys(verifier, self.auth)
            }
            #expect(try await verifier.verify(good, remoteAddress: nil).credentialID == "good")
            #expect(await accessError { try await verifier.verify(revoked, remoteAddress: nil) } == .invalid("revoked"))
        }
    }

    @Test func `who comes with the first tokens shares the question for what was revoked, page by page`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let (good, revoked) = (try await self.auth.token(id: "good"), try await self.auth.token(id: "token-34"))
        self.auth.state.withLockedValue { $0.pageSize = 10 }
        self.revoke(0..<35)
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            await withTaskGroup(of: (String, AccessError?).self) { group in
                for token in Array(repeating: [good, revoked], count: 50).joined() {
                    group.addTask {
                        (token, await accessError { try await verifier.verify(token, remoteAddress: nil) })
                    }
                }
                for await (token, error) in group { #expect(error == (token == good ? nil : .invalid("revoked"))) }
            }
            #expect(self.auth.state.withLockedValue { $0.polls } == [0, 10, 20, 30])
        }
    }

    @Test func `what was revoked while auth was away is told within two seconds of contact`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        verifier.whenRevoked { more in self.told.withLockedValue { $0 += more } }
        try await with(client, verifier) {
            try await with(self.auth.server()) { try await eventually { verifier.hasKeys } }
            // Its keys are asked for every five seconds: then it notices.
            try await Task.sleep(for: .seconds(6))
            self.revoke(0..<1)
            let contact = ContinuousClock.now
            try await with(self.auth.server()) { try await eventually { self.ids == ["token-0"] } }
            #expect(ContinuousClock.now - contact < .seconds(2))
        }
    }
}

@Suite struct RevocationListTests {
    private static let now = Timestamp(milliseconds: 1_000_000_000)

    private static func principal(
        _ credential: CredentialKind = .jwt, issued: Timestamp? = nil, client: String? = nil, session: String? = nil,
        origin: String? = nil
    ) -> Principal {
        Principal(
            subject: "user", name: "n", tenant: "t", scopes: [], credential: credential, credentialID: "id",
            issued: issued, client: client, session: session, origin: origin, signingKey: "key")
    }

    @Test func `it says the same as each revocation by itself`() {
        let principals = [
            Self.principal(), Self.principal(.apiKey), Self.principal(.oauth2, client: "client"),
            Self.principal(session: "session"), Self.principal(origin: "session"), Self.principal(origin: "key id"),
            Self.principal(issued: Timestamp(milliseconds: 5)),
            Self.principal(issued: Timestamp(milliseconds: 6)),
        ]
        for kind in CredentialRevoked.Kind.allCases {
            for id in ["id", "user", "client", "session", "key", "key id", "another"] {
                for before in [nil, Timestamp(milliseconds: 5)] {
                    let revocation = CredentialRevoked(kind: kind, id: id, before: before)
                    let list = RevocationList([revocation])
                    for principal in principals {
                        #expect(
                            list.concerns(principal) == revocation.concerns(principal), "\(revocation) \(principal)")
                    }
                }
            }
        }
    }

    @Test func `of two of the same thing the later moment counts`() {
        var list = RevocationList()
        let (early, late) = (Timestamp(milliseconds: 5), Timestamp(milliseconds: 9))
        let news = [late, early].map { list.insert(CredentialRevoked(kind: .user, id: "user", before: $0)) }
        #expect(news == [true, false])
        #expect(list.concerns(Self.principal(issued: Timestamp(milliseconds: 9))))
        #expect(!list.concerns(Self.principal(issued: Timestamp(milliseconds: 10))))
        list.insert(CredentialRevoked(kind: .user, id: "user"))
        #expect(list.concerns(Self.principal(issued: Timestamp(milliseconds: 10))))
    }

    @Test func `what ended over ten minutes ago is let go`() {
        var list = RevocationList()
        let ended = CredentialRevoked(kind: .token, id: "id", until: Self.now + .seconds(-599))
        list.insert(ended, at: Self.now)
        #expect(list.count == 1)
        list.dropEnded(at: Self.now)
        #expect(list.count == 1)
        list.dropEnded(at: Self.now + .seconds(2))
        #expect(list.count == 0)
        list.insert(ended, at: Self.now + .seconds(2))
        #expect(list.count == 0)
    }

    @Test func `it stays within its bound, and those go first that end first`() {
        var list = RevocationList(max: 100)
        let (soon, late) = (Self.now + .seconds(60), Self.now + .seconds(3600))
        for number in 0..<50 {
            list.insert(CredentialRevoked(kind: .apiKey, id: "\(number)", until: late), at: Self.now)
        }
        for number in 0..<80 {
            list.insert(CredentialRevoked(kind: .token, id: "\(number)", until: soon), at: Self.now)
        }
        #expect(list.count <= 100)
        // Signed tokens that were made with a key are judged by it here.
        #expect(list.all.count { $0.kind == .apiKey } == 50)
    }

    @Test func `tens of thousands cost a principal nothing`() {
        let list = RevocationList((0..<50_000).map { CredentialRevoked(kind: .token, id: "\($0)") })
        let start = ContinuousClock.now
        for _ in 0..<10_000 { #expect(!list.concerns(Self.principal(client: "client", session: "session"))) }
        #expect(ContinuousClock.now - start < .seconds(1))
    }
}

@Suite struct BoundedMemoryTests {
    @Test func `it stays within its bound and keeps what is asked for`() {
        var memory = BoundedMemory<Int, Int>(capacity: 100)
        for number in 0..<1000 {
            memory.keep(number, number)
            #expect(memory.value(0) == 0)
            #expect(memory.count <= 100)
        }
        #expect(memory.value(999) == 999)
        #expect(memory.value(500) == nil)
        memory.forget(999)
        #expect(memory.value(999) == nil)
    }
}
