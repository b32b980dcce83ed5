import Events
import Foundation
import ServiceKit
import Testing

@testable import ForeignMessages
@testable import StreamMetrics

/// What media servers say, as their documentation has it and as the real nginx-rtmp says it: a file a case.
@Suite struct MediaAdapterTests {
    private static let cases =
        (Bundle.module.urls(forResourcesWithExtension: "json", subdirectory: "Callbacks") ?? [])
        .map { $0.lastPathComponent ?? "" }.sorted()

    @Test func `there are callbacks of all kinds of server`() {
        for kind in ["nginx", "srs", "mediamtx"] {
            #expect(Self.cases.count { $0.hasPrefix(kind) } > 5)
        }
    }

    @Test(arguments: cases)
    func `a callback means what it says`(file: String) throws {
        let url = try #require(Bundle.module.url(forResource: file, withExtension: nil, subdirectory: "Callbacks"))
        let example = try #require(JSON(parsing: Array(try Data(contentsOf: url))))
        let kind = try #require(example["kind"]?.string.flatMap(MediaServer.Kind.init(rawValue:)))
        let server = MediaServer(name: "main", kind: kind, secret: "0123456789abcdef")
        let request = HookRequest(query: try FormParameters([]), body: Array((example["body"]?.string ?? "").utf8))
        switch example["expect"] {
        case "refused": #expect(throws: APIFailure.self) { try server.adapter.call(request) }
        case .null?: #expect(try server.adapter.call(request) == nil)
        default:
            let call = try #require(try server.adapter.call(request))
            #expect(Self.json(call) == example["expect"])
        }
    }

    private static func json(_ call: MediaCall) -> JSON {
        var members: [String: JSON] = [
            "name": .string(call.name), "session": .string(call.session), "address": JSON(call.address),
            "agent": JSON(call.agent), "key": JSON(call.key), "isAuthorized": .bool(call.isAuthorized),
        ]
        if case .recorded(let path) = call.action {
            members["action"] = "recorded"
            members["path"] = .string(path)
        } else {
            members["action"] = .string(Self.name(call.action))
        }
        return .object(members)
    }

    private static func name(_ action: MediaCall.Action) -> String {
        if case .alive(let role) = action { "alive:\(role.rawValue)" } else { "\(action)" }
    }

    // MARK: statistics

    private static let url = URL(filePath: "/").appending(path: "x")

    @Test func `nginx's page is read, and another is none`() throws {
        let page = """
            <?xml version="1.0" encoding="utf-8" ?>\r
            <rtmp><pid>1</pid><uptime>6</uptime><server><application><name>live</name><live><stream><name>s1</name>
            <time>4716</time><bytes_in>105110</bytes_in><bytes_out>39647</bytes_out>
            <client><id>3</id><address>127.0.0.1</address><time>1898</time><flashver>LNX 9,0,124,2</flashver><active/></client>
            <client><id>1</id><address>::1</address><time>4895</time><flashver>a &amp; b</flashver><publishing/><active/></client>
            <meta><video><width>320</width><frame_rate>15</frame_rate></video><audio></audio></meta></stream></live></application></server></rtmp>
            """
        let snapshot = try NginxRTMP.snapshot(Array(page.utf8), at: Timestamp(milliseconds: 10_000))
        #expect(
            snapshot
                == MediaSnapshot(
                    publishers: [
                        .init(
                            name: "s1", session: "1", startedAt: Timestamp(milliseconds: 5105), address: "::1",
                            agent: "a & b", bytes: 105_110, fps: 15)
                    ],
                    players: [
                        .init(
                            name: "s1", session: "3", startedAt: Timestamp(milliseconds: 8102), address: "127.0.0.1",
                            agent: "LNX 9,0,124,2")
                    ]))
        for other in ["", "<html></html>", "<rtmp><server>", "{}", String(page.prefix(300))] {
            #expect(throws: NoStatistics.self) { try NginxRTMP.snapshot(Array(other.utf8), at: .now) }
        }
        #expect(try NginxRTMP.snapshot(Array("<rtmp></rtmp>".utf8), at: .now) == MediaSnapshot())
    }

    @Test func `SRS's lists are read page by page`() async throws {
        let snapshot = try await SRS().snapshot(from: Self.url) { url, _ in
            let query = url.query() ?? ""
            if url.path().contains("streams") {
                let stream = #"""
                    {"id":"v1","name":"s1","vhost":"v","app":"live","live_ms":1,"clients":2,"frames":300,"send_bytes":5,"recv_bytes":7000,
                     "kbps":{"recv_30s":0,"send_30s":0},"publish":{"active":true,"cid":"c1"},"video":{"codec":"H264"},"audio":null}
                    """#
                let idle = #"{"id":"v2","name":"s2","publish":{"active":false,"cid":""}}"#
                let page = query.contains("start=0&") ? Array(repeating: idle, count: 1000) : [stream]
                return Array(#"{"code":0,"server":"a","streams":[\#(page.joined(separator: ","))]}"#.utf8)
            }
            return Array(
                #"""
                {"code":0,"clients":[{"id":"c1","stream":"v1","ip":"1.2.3.4","publish":true,"alive":2.5},
                {"id":"c2","stream":"v1","ip":"5.6.7.8","publish":false,"alive":1}]}
                """#.utf8)
        }
        #expect(snapshot.publishers.count == 1 && snapshot.players.count == 1)
        let publisher = try #require(snapshot.publishers.first)
        #expect(publisher.name == "s1" && publisher.session == "c1" && publisher.address == "1.2.3.4")
        #expect(publisher.bytes == 7000 && publisher.frames == 300)
        #expect(snapshot.players.first?.session == "c2" && snapshot.players.first?.name == "s1")
        await #expect(throws: NoStatistics.self) {
            try await SRS().snapshot(from: Self.url) { _, _ in Array(#"{"code":100}"#.utf8) }
        }
    }

    @Test func `MediaMTX's paths are read page by page`() async throws {
        let snapshot = try await MediaMTX().snapshot(from: Self.url) { url, _ in
            let item =
                (url.query() ?? "").contains("page=0")
                ? #"{"name":"live/s1","ready":true,"readyTime":"2026-11-26T02:00:00.123456789Z","source":{"type":"rtmpConn","id":"a"},"bytesReceived":42,"readers":[{"type":"webRTCSession","id":"r"}]}"#
                : #"{"name":"s2","ready":false,"readyTime":null,"source":null,"bytesReceived":0,"readers":[]}"#
            return Array(#"{"itemCount":2,"pageCount":2,"items":[\#(item)]}"#.utf8)
        }
        #expect(snapshot.players == [.init(name: "s1", session: "r")])
        let publisher = try #require(snapshot.publishers.first)
        #expect(publisher.name == "s1" && publisher.session == "a" && publisher.bytes == 42)
        #expect(publisher.startedAt == Timestamp(iso8601: "2026-11-26T02:00:00.123Z"))
        await #expect(throws: NoStatistics.self) {
            try await MediaMTX().snapshot(from: Self.url) { _, _ in Array("<html>".utf8) }
        }
    }

    @Test func `health is what the counters grew by`() {
        let first = MediaWatch.health(of: "s", from: nil, to: (1000, 10), fps: 25)
        #expect(first == StreamHealth(streamID: "s", bitrate: nil, fps: 25, packetLoss: nil, latency: nil))
        let next = MediaWatch.health(of: "s", from: (1000, 10, 5), to: (626_000, 135), fps: nil)
        #expect(next == StreamHealth(streamID: "s", bitrate: 1000, fps: 25, packetLoss: nil, latency: nil))
        // Of another session.
        #expect(MediaWatch.health(of: "s", from: (1000, nil, 5), to: (10, nil), fps: nil).bitrate == nil)
    }

    @Test func `the log says when a session ended, and nothing that cannot be`() {
        let text = """
            100.5 1 PUBLISH live a
            150 7 PUBLISH live a
            200.25 1 PLAY live a
            300 2 PUBLISH live b
            nonsense
            nan 1 PUBLISH live a
            1e300 1 PUBLISH live a
            -5 1 PUBLISH live a
            400.125 1 PUBLISH live a
            99999999999 1 PUBLISH live a
            """
        let log = MediaLog(text: text, now: Timestamp(milliseconds: 500_000))
        let key = MediaSession.Key(role: .publish, session: "1", name: "a")
        func end(after earliest: Int64, of key: MediaSession.Key = key) -> Int64? {
            log.end(of: key, after: Timestamp(milliseconds: earliest))?.milliseconds
        }
        // The first after it was seen: the id is used again.
        #expect(end(after: 0) == 100_500)
        #expect(end(after: 100_501) == 400_125)
        #expect(end(after: 400_126) == nil)
        #expect(end(after: 0, of: .init(role: .play, session: "1", name: "a")) == 200_250)
        #expect(end(after: 0, of: .init(role: .play, session: "7", name: "a")) == nil)
        #expect(MediaLog(path: "/nowhere/at/all").end(of: key, after: Timestamp(milliseconds: 0)) == nil)
    }

    @Test(arguments: ["call", "name", "clientid", "addr", "%63all"])
    func `nobody overrides nginx's own fields by a query`(field: String) throws {
        let form = "app=live&addr=127.0.0.1&clientid=1&call=publish&name=s&type=live&\(field)=x"
        let request = HookRequest(query: try FormParameters([]), body: Array(form.utf8))
        #expect(throws: APIFailure.self) { try NginxRTMP().call(request) }
    }

    @Test func `numbers that cannot be are not known`() throws {
        let now = Timestamp(milliseconds: 10_000)
        for text in ["-9223372036854775808", "1e300", "nan", "inf", "x"] {
            #expect(MediaSnapshot.start(Double(text), before: now) == nil)
        }
        #expect(MediaSnapshot.start(nil, before: now) == nil)
        #expect(MediaSnapshot.start(1000, before: now)?.milliseconds == 9000)
    }

    @Test func `a media server's counters of any size are compared`() {
        let ends: [Int64] = [.min, -9_000_000_000_000_000_000, -1, 0, 9_000_000_000_000_000_000, .max]
        for last in ends {
            for now in ends {
                let health = MediaWatch.health(of: "s", from: (last, last, 5), to: (now, now), fps: nil)
                #expect((health.bitrate != nil) == (last >= 0 && now >= last))
                #expect((health.fps != nil) == (last >= 0 && now >= last))
            }
        }
    }
}
