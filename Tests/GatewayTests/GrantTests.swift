import Events
import Testing

@testable import Gateway

@Suite struct GrantTests {
    private func principal(_ scopes: Scopes, _ limits: RoomLimits? = nil) -> Principal {
        Principal(
            subject: "s", name: "n", tenant: "t", scopes: scopes, limits: limits, credential: .jwt, credentialID: "c")
    }

    @Test(
        arguments: [
            ["*"], ["radio:*"], ["radio:read"], ["obs:read", "streams:read"], [], ["auth:admin"],
            ["obs:read:one"], ["obs:*:two", "radio:read"], ["obs:scene:one"],
        ] as [Scopes])
    func `a grant says what the principal may see of every kind of event`(scopes: Scopes) {
        for limits in [
            nil, RoomLimits(stations: []), RoomLimits(stations: ["one"]), RoomLimits(streams: ["one"]),
            RoomLimits(cameras: ["one"]), RoomLimits(obsConnections: ["one"]),
            RoomLimits(stations: ["two"], streams: [], cameras: ["one"], obsConnections: ["two"]),
        ] {
            let principal = self.principal(scopes, limits)
            let grant = Grant(principal)
            for entry in Catalogue.entries {
                for room in ["one", "two", ""] {
                    #expect(
                        grant.allows(entry, room: room) == principal.maySee(entry, room: room), "\(entry.type) \(room)")
                }
            }
        }
    }

    @Test func `a limit to stations leaves their events and nothing of other rooms`() throws {
        let grant = Grant(self.principal(["*"], RoomLimits(stations: ["one"])))
        let radio = try #require(Catalogue.byType["radio.now_playing"])
        let stream = try #require(Catalogue.byType["stream.started"])
        #expect(grant.allows(radio, room: "one"))
        #expect(!grant.allows(radio, room: "two"))
        #expect(!grant.allows(stream, room: "two") && !grant.allows(stream, room: "one") && !grant.mayAllow(stream))
    }

    @Test func `a scope for one OBS shows that OBS's events only`() throws {
        for scopes: Scopes in [["obs:read:studio"], ["obs:*:studio"], ["obs:read:studio", "radio:read"]] {
            let grant = Grant(self.principal(scopes))
            for entry in Catalogue.entries where entry.scope == .obsRead {
                let isOBS = entry.room == .obsConnection
                #expect(grant.mayAllow(entry) == isOBS, "\(entry.type)")
                #expect(grant.allows(entry, room: "studio") == isOBS, "\(entry.type)")
                for room in ["other", "", "studi", "studio2", "*"] {
                    #expect(!grant.allows(entry, room: room), "\(entry.type) \(room)")
                }
            }
        }
    }

    @Test func `a scope for all of them shows every OBS`() throws {
        let entry = try #require(Catalogue.byType["obs.sceneChanged"])
        for scopes: Scopes in [["obs:read"], ["obs:*"], ["*"], ["obs:read", "obs:read:studio"]] {
            #expect(Grant(self.principal(scopes)).allows(entry, room: "other"))
        }
        let grant = Grant(self.principal(["obs:scene:studio"]))
        #expect(!grant.mayAllow(entry) && !grant.allows(entry, room: "studio"))
    }
}
