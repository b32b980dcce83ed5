import Events
import Testing

@Suite struct ScopesTests {
    @Test(arguments: [
        ("radio:read", "radio:read", true), ("radio:read", "radio:write", false), ("radio:*", "radio:write", true),
        ("radio:*", "cameras:read", false), ("*", "radio:read", true), ("*", "auth:admin", false),
        ("auth:*", "auth:admin", false),
        ("auth:admin", "auth:admin", true), ("", "radio:read", false),
        ("radio:read cameras:read", "cameras:read", true),
        ("radio", "radio:read", false), ("*", "nocolon", true), ("radio:*", "nocolon", false),
    ])
    func `a claim grants a scope or not`(claim: String, scope: String, isGranted: Bool) {
        #expect(Scopes(claim: claim).contains(Scope(scope)) == isGranted)
    }

    @Test func `a claim is read with any spaces and written in order`() throws {
        let scopes = Scopes(claim: "  b:read   a:read b:read ")
        #expect(scopes.claim == "a:read b:read")
        #expect(JSON.encode(scopes) == Array(#""a:read b:read""#.utf8))
        #expect(try JSON.decode(Scopes.self, from: JSON.encode(scopes)) == scopes)
    }
}

@Suite struct PrincipalTests {
    @Test func `a copy that is changed leaves the other as it was, and equals it again when it is changed back`() throws
    {
        let one = Principal(
            subject: "u", name: "n", tenant: "t", scopes: [.radioRead], stations: ["s"], credential: .jwt,
            credentialID: "1")
        var other = one
        other.credentialID = "2"
        #expect(one.credentialID == "1")
        #expect(one != other)
        #expect(Set([one, other]).count == 2)
        other.credentialID = "1"
        #expect(one == other)
        #expect(one.hashValue == other.hashValue)
        other.stations = nil
        #expect(one != other)
        #expect(try JSON.decode(Principal.self, from: JSON.encode(one)) == one)
    }

    @Test(
        arguments: [
            ("radio.now_playing", "s1", "radio:read", nil, true),
            ("radio.now_playing", "s1", "cameras:read", nil, false),
            ("radio.now_playing", "s1", "*", ["s1"], true), ("radio.now_playing", "s2", "*", ["s1"], false),
            ("radio.now_playing", "", "*", [], false), ("camera.metrics", "s2", "*", ["s1"], false),
            ("channel.chatstats", "c", "", nil, true), ("auth.revoked", "", "*", nil, false),
        ] as [(EventType, String, String, Set<String>?, Bool)])
    func `scopes and stations decide what it sees`(
        type: EventType, room: String, claim: String, stations: Set<String>?, isSeen: Bool
    ) throws {
        let entry = try #require(Catalogue.byType[type])
        let principal = Principal(
            subject: "s", name: "n", tenant: "t", scopes: Scopes(claim: claim), stations: stations, credential: .jwt,
            credentialID: "1")
        #expect(principal.maySee(entry, room: room) == isSeen)
    }

    @Test func `anonymous sees Source Saver's five categories and no others`() {
        let seen = Catalogue.entries.filter { $0.scope != nil && Principal.anonymous.maySee($0, room: "") }
        #expect(Set(seen.map { String($0.type.domain) }) == ["sources", "scenes", "obs", "performance", "system"])
    }
}

@Suite struct CatalogueTests {
    @Test func `every type is listed once, and found at its index`() {
        #expect(Set(Catalogue.entries.map(\.type)).count == Catalogue.entries.count)
        for entry in Catalogue.entries {
            #expect(Catalogue.entries[entry.index] == entry)
            #expect(Catalogue.byType[entry.type] == entry)
        }
    }

    @Test func `every type is a domain and a name in plain characters`() {
        for entry in Catalogue.entries {
            let name = entry.type.name
            #expect(name.contains(".") && !name.hasPrefix(".") && !name.hasSuffix(".") && !name.contains(".."))
            #expect(
                name.utf8.allSatisfy {
                    (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || $0 == 0x2E || $0 == 0x5F
                })
        }
    }
}
