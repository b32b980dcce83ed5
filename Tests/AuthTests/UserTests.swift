import Events
import Testing

@testable import Auth

@Suite struct UserTests {
    private static func user(_ memberships: [(String, String?, Role)], isOwner: Bool = false) -> User {
        User(
            id: "u", email: "u@x", name: "U", isOwner: isOwner,
            memberships: memberships.map { Membership(tenant: $0.0, station: $0.1, role: $0.2) })
    }

    @Test func `each role has what the ones before it have`() {
        for (role, next) in zip(Role.allCases, Role.allCases.dropFirst()) {
            #expect(role.scopes.all.allSatisfy { next.scopes.contains($0) }, "\(role)")
        }
        #expect(!Role.owner.scopes.contains(.authAdmin))
        for role in [Role.viewer, .dj, .manager] {
            for scope: Scope in ["users:read", "users:write", "keys:write", "audit:read"] {
                #expect(!role.scopes.contains(scope), "\(role) \(scope)")
            }
        }
    }

    @Test func `nobody without a role is anything`() {
        #expect(Self.user([]).grant(in: nil, station: nil) == nil)
        #expect(Self.user([]).grant(in: "default", station: "s1") == nil)
        #expect(Self.user([("a", nil, .dj)]).grant(in: "b", station: nil) == nil)
        #expect(Self.user([("a", "s1", .dj)]).grant(in: "a", station: "s2") == nil)
        #expect(Self.user([("a", "s1", .dj)]).grant(in: nil, station: "s2") == nil)
        #expect(Self.user([("a", nil, .dj)]).grant(in: "a", station: "s 1") == nil)
    }

    @Test func `a role in the whole tenant counts alone, unless a station is named`() throws {
        let user = Self.user([("a", nil, .viewer), ("a", "s1", .manager), ("a", "s2", .viewer)])
        let whole = try #require(user.grant(in: nil, station: nil))
        #expect(whole.tenant == "a" && whole.stations == nil && whole.scopes == Role.viewer.scopes)
        #expect(whole.roles == ["viewer"])
        let one = try #require(user.grant(in: nil, station: "s1"))
        #expect(one.stations == ["s1"] && one.scopes == Role.manager.scopes && one.roles == ["manager"])
        let strong = Self.user([("a", nil, .admin), ("a", "s1", .viewer)])
        #expect(strong.grant(in: "a", station: "s1")?.scopes == Role.admin.scopes)
    }

    @Test func `roles at stations only give those stations, with what holds at every one`() throws {
        let user = Self.user([("a", "s1", .admin), ("a", "s2", .dj), ("b", "s3", .owner)])
        let all = try #require(user.grant(in: "a", station: nil))
        #expect(all.stations == ["s1", "s2"] && all.scopes == Role.dj.scopes && all.roles == ["dj"])
        #expect(user.grant(in: "a", station: "s1")?.scopes == [.all])
        #expect(user.grant(in: "a", station: "s3") == nil)
        // The station says which tenant.
        #expect(user.grant(in: nil, station: "s3")?.tenant == "b")
    }

    @Test func `without a tenant it is the first by id, for an owner the default one`() {
        #expect(Self.user([("b", nil, .dj), ("a", nil, .dj)]).grant(in: nil, station: nil)?.tenant == "a")
        // Not where there are only other stations.
        #expect(Self.user([("b", nil, .dj), ("a", "s1", .dj)]).grant(in: nil, station: "s2")?.tenant == "b")
        #expect(Self.user([("a", nil, .dj)], isOwner: true).grant(in: nil, station: nil)?.tenant == "default")
    }

    @Test func `an owner administers auth, and has everything in the default tenant unless told otherwise`() throws {
        let owner = try #require(Self.user([], isOwner: true).grant(in: nil, station: nil))
        #expect(owner.scopes == [.all, .authAdmin] && owner.roles == ["owner", "platform_admin"])
        let elsewhere = Self.user([("default", nil, .viewer)], isOwner: true).grant(in: nil, station: nil)
        #expect(elsewhere?.scopes.contains(.radioWrite) == false && elsewhere?.scopes.contains(.authAdmin) == true)
    }

    @Test(
        arguments: [
            (RoomLists(stations: ["s1"]), true), (RoomLists(stations: ["s1"], streams: []), true),
            (RoomLists(stations: ["s2"]), false), (RoomLists(stations: ["s1", "s2"]), false), (RoomLists(), false),
            (RoomLists(stations: []), false), (RoomLists(stations: [], cameras: ["c"]), false),
            (RoomLists(stations: ["s1"], streams: ["s"]), false), (RoomLists(streams: ["s"]), false),
            (RoomLists(cameras: ["c"]), false), (RoomLists(obsConnections: ["o"]), false),
        ])
    func `only a role in the whole channel covers what is not limited to stations`(rooms: RoomLists, local: Bool) {
        let scopes: Scopes = [.radioRead]
        #expect(Self.user([("a", "s1", .manager)]).covers(scopes, tenant: "a", rooms: rooms) == local)
        let whole = Self.user([("a", nil, .viewer)])
        #expect(whole.covers(scopes, tenant: "a", rooms: rooms))
        #expect(!whole.covers([.radioWrite], tenant: "a", rooms: rooms))
        #expect(!whole.covers(scopes, tenant: "b", rooms: rooms))
        #expect(!Self.user([]).covers(scopes, tenant: "a", rooms: rooms))
        #expect(Self.user([], isOwner: true).covers([.all], tenant: "b", rooms: rooms))
    }

    @Test(
        arguments: [
            ("*", "radio:read", "radio:read"), ("radio:read", "*", "radio:read"), ("*", "*", "*"),
            ("radio:*", "radio:read cameras:read", "radio:read"), ("radio:read", "cameras:read", ""),
            ("*", "* auth:admin", "*"), ("* auth:admin", "* auth:admin", "* auth:admin"), ("auth:admin", "*", ""),
        ])
    func `what both allow`(one: String, other: String, both: String) {
        #expect(Scopes(claim: one).narrowed(to: Scopes(claim: other)).claim == both)
        #expect(Scopes(claim: other).narrowed(to: Scopes(claim: one)).claim == both)
    }
}
