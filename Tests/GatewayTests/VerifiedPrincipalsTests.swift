import Events
import Testing

@testable import Gateway

/// Whose credentials a connection has shown: no more than it may, and nobody lost whose revocation could still come.
@Suite struct VerifiedPrincipalsTests {
    private static let now = Timestamp(milliseconds: 1_000_000)

    private static func principal(_ number: Int, expires: Timestamp? = nil) -> Principal {
        Principal(
            subject: "user", name: "n", tenant: "t", scopes: [], credential: .jwt, credentialID: "\(number)",
            expires: expires)
    }

    @Test func `those that have expired go when there are many`() {
        var verified = VerifiedPrincipals()
        for number in 0..<1000 {
            let now = Self.now + .seconds(number)
            let isTaken = verified.note(Self.principal(number, expires: now + .seconds(30)), at: now)
            let recent = (max(0, number - 29)...number).map(String.init)
            let isComplete = recent.allSatisfy { id in verified.contains { $0.credentialID == id } }
            guard isTaken, isComplete, verified.count <= 64 else { return #expect(Bool(false), "\(number)") }
        }
    }

    @Test func `one more than 256 that are good is too many, and the same one again is not one more`() {
        var verified = VerifiedPrincipals()
        let answers = (Array(0..<256) + [7, 256]).map { verified.note(Self.principal($0), at: Self.now) }
        #expect(answers == Array(repeating: true, count: 257) + [false])
        for number in 0..<256 { #expect(verified.contains { $0.credentialID == "\(number)" }) }
    }
}
