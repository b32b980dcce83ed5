import Events
import Testing

/// Scopes for one thing alone: `obs:scene:studio`.
@Suite struct NamedScopesTests {
    @Test(arguments: [
        ("obs:read:studio", "obs:read:studio", true), ("obs:read:studio", "obs:read", false),
        ("obs:read:studio", "obs:read:other", false), ("obs:read:studio", "obs:scene:studio", false),
        ("obs:read", "obs:read:studio", true), ("obs:read", "obs:scene:studio", false),
        ("obs:*", "obs:read:studio", true), ("obs:*", "obs:*:studio", true), ("obs:*:studio", "obs:read:studio", true),
        ("obs:*:studio", "obs:*:studio", true), ("obs:*:studio", "obs:read:other", false),
        ("obs:*:studio", "obs:read", false), ("obs:*:studio", "obs:*", false),
        ("obs:*:studio", "radio:read:studio", false), ("radio:*", "obs:read:studio", false),
        ("obs:read:studio obs:scene:studio", "obs:*:studio", false), ("*", "obs:read:studio", true),
        ("*", "obs:*:studio", true), ("obs:read:studio", "obs:read:studio:x", false),
        ("obs:read", "obs:read:a:b", false),
        ("obs:read:studio", "obs:read:stud", false), ("obs:read:*", "obs:read:studio", false),
        ("auth:admin", "auth:admin:x", true), ("obs:*:studio", "auth:admin", false), ("", "obs:read:studio", false),
    ])
    func `a claim grants a scope or not`(claim: String, scope: String, isGranted: Bool) {
        #expect(Scopes(claim: claim).contains(Scope(scope)) == isGranted)
    }

    @Test(arguments: [
        ("obs:read:studio", "studio", true), ("obs:read:studio", "other", false), ("obs:read", "other", true),
        ("obs:scene:studio", "studio", false), ("obs:*:studio", "studio", true), ("obs:*:studio", "other", false),
        ("obs:*", "other", true), ("*", "other", true), ("", "studio", false), ("radio:read:studio", "studio", false),
        ("obs:read:studio radio:read", "studio", true), ("obs:read:studio", "", false), ("obs:read:studio", "*", false),
        ("obs:read:a obs:read:b", "b", true), ("obs:read:studio", "studio:x", false),
    ])
    func `a claim grants reading on one of several, or not`(claim: String, name: String, isGranted: Bool) {
        #expect(Scopes(claim: claim).contains(.obsRead, on: name) == isGranted)
    }

    @Test(arguments: [
        ("obs:read:studio", true), ("obs:*:studio", true), ("obs:read", true), ("obs:*", true), ("*", true),
        ("obs:scene:studio", false), ("obs:readmore:studio", false), ("radio:read:studio", false), ("", false),
        ("radio:*:studio", false), ("obsx:*:studio", false),
    ])
    func `a claim grants reading somewhere, or nowhere`(claim: String, isGranted: Bool) {
        #expect(Scopes(claim: claim).containsSomewhere(.obsRead) == isGranted)
    }

    @Test(arguments: [("*", false), ("obs:*", false), ("obs:read", false), ("", false), ("obs:read:studio", true)])
    func `a claim names things or not`(claim: String, namesThings: Bool) {
        #expect(Scopes(claim: claim).hasNamed == namesThings)
    }

    @Test(arguments: ["*", "auth:*", "* obs:read:studio", "auth:*:x", "* auth:*:x", "auth:read:x"])
    func `nothing implies administering auth, there or anywhere`(claim: String) {
        let scopes = Scopes(claim: claim)
        #expect(!scopes.contains(.authAdmin))
        #expect(!scopes.contains("auth:admin:x"))
        #expect(!scopes.contains(.authAdmin, on: "x"))
        #expect(!scopes.containsSomewhere(.authAdmin))
    }

    @Test(
        arguments: [
            ("obs.sceneChanged", "studio", "obs:read:studio", true),
            ("obs.sceneChanged", "other", "obs:read:studio", false),
            ("obs.statsUpdate", "studio", "obs:*:studio", true), ("obs.statsUpdate", "other", "obs:*:studio", false),
            ("scenes.sourceAdded", "studio", "obs:read:studio", true),
            ("scenes.sourceAdded", "studio", "obs:scene:studio", false),
            ("scenes.sourceAdded", "other", "obs:read", true), ("scenes.sourceAdded", "other", "*", true),
            // Its room is a source, not an OBS connection.
            ("sources.create", "studio", "obs:read:studio", false),
            ("radio.now_playing", "studio", "radio:read:studio", false),
        ] as [(EventType, String, String, Bool)])
    func `events of one OBS are shown to those who may read that one`(
        type: EventType, room: String, claim: String, isSeen: Bool
    ) throws {
        let entry = try #require(Catalogue.byType[type])
        let principal = Principal(
            subject: "s", name: "n", tenant: "t", scopes: Scopes(claim: claim), credential: .jwt, credentialID: "1")
        #expect(principal.maySee(entry, room: room) == isSeen)
    }

    @Test func `whoever may read one OBS may see such events at all`() throws {
        let principal = Principal(
            subject: "s", name: "n", tenant: "t", scopes: ["obs:read:studio"], credential: .jwt, credentialID: "1")
        for entry in Catalogue.entries where entry.scope != nil {
            #expect(principal.maySee(entry) == (entry.room == .obsConnection), "\(entry.type)")
        }
    }
}
