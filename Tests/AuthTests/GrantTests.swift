import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import Auth

@Suite struct GrantTests {
    private static func asker(_ claim: String, stations: Set<String>? = nil) -> Principal {
        Principal(
            subject: "s", name: "n", tenant: "ours", scopes: Scopes(claim: claim), stations: stations,
            credential: .apiKey, credentialID: "1")
    }

    private static func grant(
        _ asker: Principal, tenant: String? = nil, scope: String?, rooms: RoomLists = RoomLists(), seconds: Int? = nil,
        until: Timestamp? = nil
    ) throws(APIFailure) -> Grant {
        try Grant(
            for: asker, tenant: tenant, scope: scope, rooms: rooms, timeToLive: seconds, standard: nil,
            range: 1...60, until: until)
    }

    /// The status of the refusal; 0: granted.
    private static func status(_ body: () throws(APIFailure) -> Grant) -> Int {
        do {
            _ = try body()
            return 0
        } catch {
            return error.status.code
        }
    }

    @Test(
        arguments: [
            ("radio:read", "radio:read", 0), ("radio:read", "radio:write", 403), ("radio:read", "radio:*", 403),
            ("radio:read", "*", 403), ("radio:*", "radio:read", 0), ("radio:*", "radio:*", 0),
            ("radio:*", "cameras:read", 403), ("radio:*", "*", 403), ("radio:*", "radio:read cameras:read", 403),
            ("*", "*", 0), ("*", "radio:*", 0), ("*", "auth:admin", 403), ("*", "* auth:admin", 403),
            ("auth:*", "auth:admin", 403), ("auth:admin", "*", 403), ("auth:admin", nil, 403), ("radio:read", nil, 403),
            ("* auth:admin", "auth:admin", 0), ("*", nil, 0), ("", "radio:read", 403), ("*", "", 400),
            ("*", "   ", 400),
            ("*", "radio", 400), ("*", "radio:", 400), ("*", ":read", 400), ("*", "*:read", 400), ("*", "*:*", 400),
            ("*", "radio:re*", 400), ("*", "radio:read\tradio:write", 400),
            ("*", "radio:read\u{0}", 400), ("*", "r\u{E4}dio:read", 400), ("*", "rad\u{131}o:read", 400),
            ("*", "auth:admin\u{200B}", 400), ("*", "auth:a\u{308}dmin", 400), ("*", "\u{212A}eys:write", 400),
            ("*", "auth\u{FF1A}admin", 400), ("*", "radio:read'--", 400), ("*", "radio:\"read\"", 400),
        ] as [(String, String?, Int)])
    func `nobody gives more than they have`(holds: String, asks: String?, status: Int) {
        #expect(Self.status { () throws(APIFailure) in try Self.grant(Self.asker(holds), scope: asks) } == status)
    }

    @Test(
        arguments: [
            ("*", "obs:read:studio", 0), ("*", "obs:*:studio", 0), ("obs:*", "obs:*:studio", 0),
            ("obs:read", "obs:read:studio", 0), ("obs:*:studio", "obs:scene:studio", 0),
            ("obs:read:studio", "obs:read:studio", 0), ("obs:read:studio", "obs:read", 403),
            ("obs:read:studio", "obs:read:other", 403), ("obs:read:studio", "obs:*:studio", 403),
            ("obs:*:studio", "obs:*", 403), ("obs:*:studio", "*", 403), ("* obs:read:x", "auth:admin", 403),
            ("*", "auth:admin:x", 403),
        ])
    func `nobody gives more than they have of one thing`(holds: String, asks: String, status: Int) {
        #expect(Self.status { () throws(APIFailure) in try Self.grant(Self.asker(holds), scope: asks) } == status)
    }

    @Test(arguments: [
        ("*", true), ("obs:read", true), ("obs:*", true), ("obs:read:studio", true), ("obs:*:studio-2", true),
        ("stream-live:read", true), ("obs:read:\(String(repeating: "n", count: 63))", true), ("", false), (":", false),
        ("obs", false), ("*:read", false), ("*:*", false), ("*:*:studio", false), ("obs:read:", false),
        ("obs::studio", false), (":read:studio", false), ("obs:read:*", false), ("obs:*:*", false),
        ("obs:read:a:b", false), ("obs:read:a_b", false), ("obs:read:a b", false), ("obs:re*:a", false),
        ("obs:read:\(String(repeating: "n", count: 64))", false), ("\(String(repeating: "d", count: 33)):read", false),
        ("obs:\(String(repeating: "v", count: 33))", false), ("obs:read:stud\u{131}o", false),
        ("obs:read:studio\u{0}", false), ("obs:read:studio\u{301}", false), ("*\u{301}", false),
    ])
    func `a scope has two parts, and may name one thing`(name: String, isScope: Bool) {
        #expect(Grant.isScope(Scope(name)) == isScope)
    }

    @Test func `whatever is limited to rooms is stored with a list of stations`() {
        #expect(RoomLists(nil as RoomLimits?).stations == nil)
        #expect(RoomLists(RoomLimits(stations: ["b", "a"])).stations == ["a", "b"])
        for limits in [RoomLimits(streams: ["s"]), RoomLimits(cameras: ["c"]), RoomLimits(obsConnections: ["o"])] {
            let lists = RoomLists(limits)
            #expect(lists.stations == [])
            // No station, as before.
            let read = lists.limits
            #expect(read?.reachable == limits.reachable && limits.contain(read) && read?.contain(limits) == true)
        }
    }

    @Test func `a scope is bounded`() {
        let scope = (0..<200).map { "radio:verb\($0)" }.joined(separator: " ")
        #expect(Self.status { () throws(APIFailure) in try Self.grant(Self.asker("*"), scope: scope) } == 400)
    }

    @Test(
        arguments: [
            ("*", "ours", 0), ("*", "theirs", 403), ("* auth:admin", "theirs", 0), ("*", "Ours", 403), ("*", "", 400),
            ("*", "ours\u{0}", 400), ("*", " ours", 400), ("*", "our\u{17F}", 400), ("*", "\u{F6}urs", 400),
            ("* auth:admin", "../x", 400), ("* auth:admin", String(repeating: "t", count: 65), 400),
        ])
    func `another tenant is an administrator's`(holds: String, tenant: String, status: Int) {
        #expect(
            Self.status { () throws(APIFailure) in try Self.grant(Self.asker(holds), tenant: tenant, scope: nil) }
                == status)
    }

    @Test(
        arguments: [
            (nil, nil, nil, 0), (nil, ["a"], ["a"], 0), (["a", "b"], nil, ["a", "b"], 0),
            (["a", "b"], ["b"], ["b"], 0),
            (["a"], ["a", "b"], nil, 403), (["a"], [], [], 0), (nil, ["a\u{0}"], nil, 400), (nil, [""], nil, 400),
            (nil, (0...50).map { "s\($0)" }, nil, 400),
        ] as [([String]?, [String]?, [String]?, Int)])
    func `stations are no more than the asker's`(holds: [String]?, asks: [String]?, granted: [String]?, status: Int) {
        let asker = Self.asker("*", stations: holds.map(Set.init))
        var stations: [String]?
        let refusal = Self.status { () throws(APIFailure) in
            let grant = try Self.grant(asker, scope: nil, rooms: RoomLists(stations: asks))
            stations = grant.limits?.stations?.sorted()
            return grant
        }
        #expect(refusal == status)
        #expect(stations == granted)
    }

    @Test(arguments: [(nil, nil), (nil, 30_000), (60, 30_000), (60, 90_000), (10, 30_000)] as [(Int?, Int64?)])
    func `nothing ends later than the latest end, rounded down to a second`(seconds: Int?, latest: Int64?) throws {
        let until = latest.map { Timestamp(milliseconds: Timestamp.now.milliseconds + $0) }
        let before = Timestamp.now
        let expires = try Self.grant(Self.asker("*"), scope: nil, seconds: seconds, until: until).expires
        guard let until else {
            #expect(expires == nil)
            return
        }
        let end = try #require(expires)
        let asked = seconds.map { before + .seconds($0) }
        if let asked, asked < Timestamp(milliseconds: until.seconds * 1000) {
            #expect(end >= asked && end < asked + .seconds(5))
        } else {
            #expect(end.milliseconds == until.seconds * 1000)
        }
    }

    /// In the order of stations, streams, cameras and OBS connections.
    private static func rooms(_ lists: [[String]?]) -> RoomLists {
        RoomLists(stations: lists[0], streams: lists[1], cameras: lists[2], obsConnections: lists[3])
    }

    @Test(
        arguments: [
            // Whoever is not limited limits as they like.
            ([nil, nil, nil, nil], [nil, ["s"], ["c"], nil], [nil, ["s"], ["c"], nil], 0),
            // Without a list, the asker's; with one, that alone.
            ([nil, ["s"], ["c"], nil], [nil, nil, nil, nil], [nil, ["s"], ["c"], nil], 0),
            ([["a"], nil, ["c", "d"], nil], [nil, nil, ["c"], nil], [nil, nil, ["c"], nil], 0),
            // What has no list is nothing for them.
            ([["a"], nil, nil, nil], [["a"], nil, ["c"], nil], nil, 403),
            ([nil, nil, ["c"], nil], [["a"], nil, nil, nil], nil, 403),
            ([nil, nil, nil, ["o"]], [nil, nil, nil, ["o", "p"]], nil, 403),
            ([nil, ["s"], nil, nil], [nil, [], nil, nil], [nil, [], nil, nil], 0),
            ([nil, nil, nil, nil], [nil, nil, ["c\u{0}"], nil], nil, 400),
            (
                [nil, nil, nil, nil], [(0..<26).map { "a\($0)" }, nil, (0..<25).map { "c\($0)" }, nil], nil, 400
            ),
        ] as [([[String]?], [[String]?], [[String]?]?, Int)])
    func `rooms are no more than the asker's`(
        holds: [[String]?], asks: [[String]?], granted: [[String]?]?, status: Int
    ) {
        var asker = Self.asker("*")
        asker.limits = Self.rooms(holds).limits
        var limits: RoomLimits?
        let refusal = Self.status { () throws(APIFailure) in
            let grant = try Self.grant(asker, scope: nil, rooms: Self.rooms(asks))
            limits = grant.limits
            return grant
        }
        #expect(refusal == status)
        #expect(limits == granted.flatMap { Self.rooms($0).limits })
    }

    @Test(arguments: [(nil, 0), (1, 0), (60, 0), (0, 400), (-1, 400), (61, 400), (Int.max, 400)])
    func `a lifetime has bounds`(seconds: Int?, status: Int) {
        #expect(
            Self.status { () throws(APIFailure) in try Self.grant(Self.asker("*"), scope: nil, seconds: seconds) }
                == status)
    }

    @Test(
        arguments: [
            ("", false), ("a", true), (String(repeating: "a", count: 200), true),
            (String(repeating: "a", count: 201), false), ("a" + String(repeating: "\u{301}", count: 200), false),
            ("line\nbreak", false), ("nul\u{0}", false), ("delete\u{7F}", false), ("next\u{85}line", false),
            ("\u{1F399} Zo\u{EB}", true),
        ])
    func `a name is bounded text`(name: String, isTaken: Bool) {
        #expect(((try? name.requireName(field: "name")) != nil) == isTaken)
    }
}
