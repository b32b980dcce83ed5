import Events
import Testing

@testable import Gateway

@Suite struct GrantTests {
    private func principal(_ scopes: Scopes, stations: Set<String>? = nil) -> Principal {
        Principal(
            subject: "s", name: "n", tenant: "t", scopes: scopes, stations: stations, credential: .jwt,
            credentialID: "c")
    }

    @Test(
        arguments: [["*"], ["radio:*"], ["radio:read"], ["obs:read", "streams:read"], [], ["auth:admin"]] as [Scopes])
    func `a grant says what the principal may see of every kind of event`(scopes: Scopes) {
        for stations: Set<String>? in [nil, [], ["one"]] {
            let principal = self.principal(scopes, stations: stations)
            let grant = Grant(principal)
            for entry in Catalogue.entries {
                for room in ["one", "two", ""] {
                    #expect(
                        grant.allows(entry, room: room) == principal.maySee(entry, room: room), "\(entry.type) \(room)")
                }
            }
        }
    }

    @Test func `stations narrow radio events only`() throws {
        let grant = Grant(self.principal(["*"], stations: ["one"]))
        let radio = try #require(Catalogue.byType["radio.now_playing"])
        let stream = try #require(Catalogue.byType["stream.started"])
        #expect(grant.allows(radio, room: "one"))
        #expect(!grant.allows(radio, room: "two"))
        #expect(grant.allows(stream, room: "two"))
    }
}
