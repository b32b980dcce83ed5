import Events
import Foundation
import TestSupport
import Testing

/// Requests that must be refused, row by row (`Hostile/Tables`): each with its status and error, nothing changed, no secret kept.
@Suite("Hostile requests", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct HostileTests {
    @Test func `credentials that are none, and those that are not enough`() async throws {
        try await HostileStage.with { try await $0.refuse(["credentials", "authority"]) }
    }

    @Test func `methods, bodies, fields, ids`() async throws {
        try await HostileStage.with { try await $0.refuse(["methods", "bodies", "fields", "ids"]) }
    }

    @Test func `OAuth2 by the RFCs' own words`() async throws {
        try await HostileStage.with { try await $0.refuse(["token", "token-facts", "authorize"]) }
    }

    @Test func `SQL and strange letters are letters`() async throws {
        try await HostileStage.with { try await $0.refuse(["literal"], changes: true) }
    }
}
