import Testing

@testable import Events

/// What a credential comes from, and which revocations end it for that.
@Suite struct LineageTests {
    private static func principal(
        _ credential: CredentialKind, id: String, session: String? = nil, origin: String? = nil
    ) -> Principal {
        Principal(
            subject: "u", name: "n", tenant: "t", scopes: [.all], credential: credential, credentialID: id,
            session: session, origin: origin)
    }

    @Test func `a token made by a token keeps its session, and one made by a key has the key`() {
        #expect(Self.principal(.jwt, id: "1", session: "s").lineage == "s")
        #expect(Self.principal(.oauth2, id: "2", origin: "s").lineage == "s")
        #expect(Self.principal(.apiKey, id: "k").lineage == "k")
        #expect(Self.principal(.jwt, id: "3", origin: "k").lineage == "k")
        #expect(Self.principal(.jwt, id: "4").lineage == nil)
    }

    @Test(arguments: [CredentialKind.jwt, .oauth2])
    func `what a key made ends with it`(kind: CredentialKind) {
        let revocation = CredentialRevoked(kind: .apiKey, id: "k")
        #expect(revocation.concerns(Self.principal(.apiKey, id: "k")))
        #expect(revocation.concerns(Self.principal(kind, id: "1", origin: "k")))
        for other in [
            Self.principal(.apiKey, id: "other"), Self.principal(kind, id: "1"), Self.principal(kind, id: "k"),
            Self.principal(kind, id: "1", origin: "other"), Self.principal(kind, id: "1", session: "s"),
        ] {
            #expect(!revocation.concerns(other), "\(other)")
        }
    }

    @Test func `the end of a session is none of a key's that was made in it`() {
        let revocation = CredentialRevoked(kind: .session, id: "s")
        #expect(revocation.concerns(Self.principal(.jwt, id: "1", session: "s")))
        #expect(revocation.concerns(Self.principal(.jwt, id: "1", origin: "s")))
        #expect(!revocation.concerns(Self.principal(.apiKey, id: "k", origin: "s")))
    }
}
