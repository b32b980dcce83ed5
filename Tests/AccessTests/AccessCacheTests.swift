import Bus
import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// What outlasts a process: with auth away, its successor verifies tokens and refuses those that were revoked.
@Suite struct AccessCacheTests {
    private let auth = FakeAuth()
    private let directory = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path

    private func cache(_ process: String = "gateway.one") -> AccessCache {
        AccessCache(directory: self.directory, process: process, logger: quiet)
    }

    private func verifier(_ client: CommandClient) -> CredentialVerifier {
        CredentialVerifier(commands: client, process: .gateway, cache: self.cache(), logger: quiet)
    }

    @Test func `a process that starts while auth is away verifies tokens, and refuses what was revoked`() async throws {
        defer { try? FileManager.default.removeItem(atPath: self.directory) }
        let (good, revoked) = (try await self.auth.token(id: "good"), try await self.auth.token(id: "revoked"))
        self.auth.state.withLockedValue { $0.revocations = [CredentialRevoked(kind: .token, id: "revoked")] }
        let (client, cache) = (self.auth.client(), self.cache())
        let first = self.verifier(client)
        try await with(client, self.auth.server(), first) {
            try await eventually { cache.load()?.last == 1 && cache.load()?.keys != nil }
            // One that came by event.
            first.hear([Event(CredentialRevoked(kind: .user, id: "user-2"), tenant: "t", publisher: .auth)])
            try await eventually { cache.load()?.revocations.count == 2 }
        }
        let mode = try FileManager.default.attributesOfItem(atPath: cache.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let other = self.auth.client()
        let second = self.verifier(other)
        try await with(other, second) {
            try await eventually { second.hasKeys }
            #expect(!second.isAuthReachable)
            #expect(try await second.verify(good, remoteAddress: nil).credentialID == "good")
            #expect(await accessError { try await second.verify(revoked, remoteAddress: nil) } == .invalid("revoked"))
        }
    }

    @Test func `a list with holes is not kept`() async throws {
        defer { try? FileManager.default.removeItem(atPath: self.directory) }
        self.auth.state.withLockedValue { $0.isDeaf = true }
        let client = self.auth.client()
        let verifier = self.verifier(client)
        try await with(client, self.auth.server()) {
            try await with(verifier) {
                try await eventually { verifier.isAuthReachable }
                verifier.hear([Event(CredentialRevoked(kind: .user, id: "user-2"), tenant: "t", publisher: .auth)])
            }
        }
        // It would have been saved at the end.
        #expect(self.cache().load() == nil)
    }

    @Test func `a file that is corrupt, of another form, or writable by others is none`() throws {
        defer { try? FileManager.default.removeItem(atPath: self.directory) }
        let cache = self.cache()
        let content = AccessCache.Content(
            keys: FetchKeys.Answer(issuer: "i", jwks: "{}"), revocations: [CredentialRevoked(kind: .token, id: "x")],
            last: 7, term: UInt64(Int64.max))
        #expect(cache.load() == nil)
        cache.save(content)
        #expect(cache.load() == content)
        #expect(self.cache("gateway.two").load() == nil)
        try FileManager.default.setAttributes([.posixPermissions: 0o622], ofItemAtPath: cache.path)
        #expect(cache.load() == nil)
        cache.save(content)
        #expect(cache.load() == content)
        for bytes in ["", "{", #"{"format":"another","revocations":[],"last":0}"#] {
            try Data(bytes.utf8).write(to: URL(filePath: cache.path))
            #expect(cache.load() == nil)
        }
        try FileManager.default.removeItem(atPath: cache.path)
        let elsewhere = self.cache("elsewhere")
        elsewhere.save(content)
        try FileManager.default.createSymbolicLink(atPath: cache.path, withDestinationPath: elsewhere.path)
        #expect(cache.load() == nil)
    }

    @Test func `a process's name cannot lead out of the directory`() {
        defer { try? FileManager.default.removeItem(atPath: self.directory) }
        #expect(
            self.cache("gateway.../../x y").path
                == "\(self.directory)/gateway...___.._x_y.json".replacing("___.._", with: "_.._"))
    }
}
