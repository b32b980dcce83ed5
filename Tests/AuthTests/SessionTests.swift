import Events
import Testing

@testable import Auth

@Suite struct SessionTests {
    private static func user(_ memberships: [Membership], isOwner: Bool = false) -> User {
        User(id: "u", email: "u@x", name: "u", isOwner: isOwner, memberships: memberships)
    }

    private static func session(_ user: User, begunWith begun: Standing?, _ tier: Tier = .free) -> Session {
        var session = Session(
            id: "s", user: user, client: nil, tenant: "north", station: nil, scopes: begun?.scopes ?? [.all],
            expires: .now + .seconds(60))
        session.begun = begun.map { ($0, tier) }
        return session
    }

    @Test func `a role that comes later adds nothing to a session`() throws {
        let dj = Membership(tenant: "north", station: "s1", role: .dj)
        let before = try #require(Self.user([dj]).grant(in: "north", station: nil))
        let later = Self.user(
            [
                Membership(tenant: "north", station: "s1", role: .manager),
                Membership(tenant: "north", station: "s2", role: .manager),
            ], isOwner: true)
        let session = Self.session(later, begunWith: before)
        let standing = try #require(session.standing)
        #expect(standing.stations == ["s1"] && standing.roles == ["dj"])
        #expect(standing.scopes == before.scopes && !standing.scopes.contains(.radioWrite))
        let principal = session.principal(standing, standing.scopes, .jwt, issued: .now, expires: .now)
        #expect(principal.tier == .free && principal.session == "s" && principal.origin == nil)
        // The whole channel instead of a station.
        let whole = Self.session(Self.user([Membership(tenant: "north", role: .owner)]), begunWith: before)
        #expect(whole.standing?.stations == ["s1"])
    }

    @Test func `what is taken away is gone`() throws {
        let owner = try #require(
            Self.user([Membership(tenant: "north", role: .owner)], isOwner: true).grant(in: "north", station: nil))
        let session = Self.session(
            Self.user([Membership(tenant: "north", station: "s1", role: .viewer)]), begunWith: owner, .enterprise)
        let standing = try #require(session.standing)
        #expect(standing.stations == ["s1"] && standing.roles == ["viewer"] && !standing.scopes.contains(.radioWrite))
        #expect(session.principal(standing, standing.scopes, .jwt, issued: .now, expires: .now).tier == .free)
        #expect(Self.session(Self.user([]), begunWith: owner).standing == nil)
    }

    @Test func `a session that recorded nothing has what its user has`() {
        let user = Self.user([Membership(tenant: "north", role: .manager)])
        #expect(Self.session(user, begunWith: nil).standing == user.grant(in: "north", station: nil))
    }
}
