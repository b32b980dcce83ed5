import Testing

@testable import Events

/// What a principal may do and see where.
@Suite struct RoomTests {
    private static func principal(
        _ scopes: Scopes, _ limits: RoomLimits? = nil, _ credential: CredentialKind = .jwt
    ) -> Principal {
        Principal(
            subject: "s", name: "n", tenant: "t", scopes: scopes, limits: limits, credential: credential,
            credentialID: "1")
    }

    private static let ofChannel: Set<String> = ["channel.announcements", "channel.stream.status"]

    private static func types(_ prefixes: String...) -> Set<String> {
        Set(Catalogue.entries.map(\.type.name).filter { name in prefixes.contains { name.hasPrefix($0) } })
    }

    private struct Viewer: CustomTestStringConvertible {
        let testDescription: String
        let principal: Principal
        /// What they see of the rooms called `a`, and of those called `b`.
        let a: Set<String>
        let b: Set<String>
    }

    private static let everything = Set(Catalogue.entries.map(\.type.name)).subtracting(["auth.revoked"])
    private static let radioReader: Scopes = [.radioRead, .channelRead, .tipsRead, .activitiesRead, .obsRead]

    private static let viewers = [
        Viewer(
            testDescription: "owner", principal: principal([.all, .authAdmin]), a: everything.union(["auth.revoked"]),
            b: everything.union(["auth.revoked"])),
        Viewer(testDescription: "admin", principal: principal([.all]), a: everything, b: everything),
        Viewer(
            testDescription: "owner at a station",
            principal: principal([.all, .authAdmin], RoomLimits(stations: ["a"])),
            a: types("radio.").union(ofChannel), b: ofChannel),
        Viewer(
            testDescription: "reader at a station", principal: principal(radioReader, RoomLimits(stations: ["a"])),
            a: types("radio.").union(["channel.announcements"]), b: ["channel.announcements"]),
        Viewer(
            testDescription: "at no station", principal: principal([.all], RoomLimits(stations: [])), a: ofChannel,
            b: ofChannel),
        Viewer(
            testDescription: "stream", principal: principal([.all], RoomLimits(streams: ["a"])),
            a: types("stream.", "viewer.", "analytics.", "chat.", "reaction.").union(ofChannel), b: ofChannel),
        Viewer(
            testDescription: "camera", principal: principal([.all], RoomLimits(cameras: ["a"])),
            a: types("camera.").union(ofChannel), b: ofChannel),
        Viewer(
            testDescription: "OBS connection", principal: principal([.all], RoomLimits(obsConnections: ["a"])),
            a: types("scenes.", "obs.").union(ofChannel), b: ofChannel),
        Viewer(
            testDescription: "camera and station, by scope a camera's",
            principal: principal([.camerasRead], RoomLimits(stations: ["a"], cameras: ["b"])), a: [],
            b: types("camera.")),
        Viewer(
            testDescription: "one OBS by scope", principal: principal(["obs:read:a"]),
            a: types("scenes.", "obs.").union(unscoped), b: unscoped),
        Viewer(
            testDescription: "anonymous", principal: .anonymous,
            a: types("sources.", "scenes.", "obs.", "performance.", "system."),
            b: types("sources.", "scenes.", "obs.", "performance.", "system.")),
    ]

    /// What any credential that is not limited sees.
    private static let unscoped = Set(Catalogue.entries.filter { $0.scope == nil }.map(\.type.name))

    @Test(arguments: viewers)
    private func `every type of event is seen in one's own rooms only`(viewer: Viewer) {
        for (room, expected) in [("a", viewer.a), ("b", viewer.b)] {
            let seen = Catalogue.entries.filter { viewer.principal.maySee($0, room: room) }
            #expect(Set(seen.map(\.type.name)) == expected, "in room \(room)")
        }
        let anywhere = Catalogue.entries.filter { viewer.principal.maySee($0) }
        #expect(Set(anywhere.map(\.type.name)).isSuperset(of: viewer.a.union(viewer.b)))
    }

    @Test(
        arguments: [
            (.camerasWrite, .camera("a"), true), (.camerasWrite, .camera("b"), false), (.camerasWrite, .channel, false),
            (.obsConnect, .obsConnection("default"), false), (.tipsModeration, .channel, false),
            (.activitiesWrite, .channel, false), (.streamsRead, .stream("a"), false),
            (.radioRead, .station("a"), false),
            (.channelRead, .channel, true), (.streamLiveRead, .channel, true), (.systemRead, .channel, false),
            (.auditRead, .channel, false), (.authAdmin, .channel, false),
        ] as [(Scope, Room, Bool)])
    func `a limit leaves the rooms that it lists and reads of the channel`(scope: Scope, room: Room, isAllowed: Bool) {
        let principal = Self.principal([.all, .authAdmin], RoomLimits(cameras: ["a"]))
        #expect(principal.permits(scope, on: room) == isAllowed)
        #expect(Self.principal([.all, .authAdmin]).permits(scope, on: room))
        #expect(!Self.principal([]).permits(scope, on: room))
    }

    @Test(
        arguments: [
            (RoomLimits(stations: ["a"]), nil, false), (RoomLimits(stations: ["a"]), RoomLimits(stations: ["a"]), true),
            (RoomLimits(stations: ["a"]), RoomLimits(stations: []), true),
            (RoomLimits(stations: ["a"]), RoomLimits(cameras: []), true),
            (RoomLimits(stations: ["a"]), RoomLimits(cameras: ["a"]), false),
            (RoomLimits(stations: ["a"]), RoomLimits(stations: ["a", "b"]), false),
            (RoomLimits(stations: ["a"], streams: ["s"]), RoomLimits(streams: ["s"]), true),
            (nil, RoomLimits(stations: ["a"]), true), (nil, nil, true),
        ] as [(RoomLimits?, RoomLimits?, Bool)])
    func `a principal covers another's rooms`(own: RoomLimits?, other: RoomLimits?, covers: Bool) {
        #expect(Self.principal([.all], own).covers(Self.principal([.all], other)) == covers)
    }

    @Test func `limits survive the way over the bus`() throws {
        let limits = RoomLimits(stations: [], streams: ["s"], cameras: ["c", "d"], obsConnections: ["studio"])
        let principal = Self.principal([.all], limits)
        #expect(try JSON.decode(Principal.self, from: JSON.encode(principal)).limits == limits)
        #expect(try JSON.decode(Principal.self, from: JSON.encode(Self.principal([.all]))).limits == nil)
    }
}
