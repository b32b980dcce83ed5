import Events
import Foundation
import TestSupport
import Testing

/// Every route of every service, asked by everybody there is: who is let in, and who is not.
@Suite("Rights", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct RightsTests {
    @Test func `every route lets in whom the table says, and nobody else`() async throws {
        try await Suite.with { suite in
            let stage = try await RightsStage(suite)
            try await Self.walk(stage)
            try await Self.lists(stage)
            try await Self.derived(stage)
            try await Self.connections(stage)
        }
    }

    // MARK: the table

    private struct Trial: Sendable {
        let right: RouteRight
        let asker: RightsStage.Asker
        /// The room that the route is about, if it is one.
        let room: String?
        /// Whether there is such a room.
        let isThere: Bool
    }

    private static func walk(_ stage: RightsStage) async throws {
        let trials = try RouteRight.table().filter { $0.needs != "form" }
            .flatMap { right in stage.askers.flatMap { Self.trials(of: right, by: $0, stage) } }
        var next = trials.makeIterator()
        let wrong = try await withThrowingTaskGroup(of: String?.self) { group in
            func addOne() {
                guard let trial = next.next() else { return }
                group.addTask { try await Self.problem(with: trial, stage.suite) }
            }
            for _ in 0..<16 { addOne() }
            var wrong: [String] = []
            while let problem = try await group.next() {
                if let problem { wrong.append(problem) }
                addOne()
            }
            return wrong
        }
        #expect(trials.count > 3000)
        #expect(wrong.isEmpty, "\(wrong.count) of \(trials.count):\n\(wrong.sorted().joined(separator: "\n"))")
    }

    private static func trials(of right: RouteRight, by asker: RightsStage.Asker, _ stage: RightsStage) -> [Trial] {
        // What needs nothing is no different for whoever has more.
        if right.needs == "nothing", asker.token != nil { return [] }
        guard let kind = right.room, let places = stage.places[kind] else {
            return [Trial(right: right, asker: asker, room: nil, isThere: false)]
        }
        guard right.path.contains("{id}") || right.path.contains("{connection}") || right.body != nil else {
            return [Trial(right: right, asker: asker, room: "default", isThere: false)]
        }
        let isRead = right.method == "GET"
        return [places.a, places.b].map {
            Trial(right: right, asker: asker, room: isRead ? $0.id : $0.missing, isThere: isRead)
        }
    }

    /// `nil`: it is as the table says.
    private static func problem(with trial: Trial, _ suite: Suite) async throws -> String? {
        let (right, asker) = (trial.right, trial.asker)
        var headers = asker.headers
        if let token = asker.token { headers.append(("Authorization", "Bearer \(token)")) }
        var body: [UInt8] = []
        if ["POST", "PUT", "PATCH"].contains(right.method) {
            headers.append(("Content-Type", "application/json"))
            let text = right.body.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "[]"
            body = Array(text.replacing("$room", with: trial.room ?? "").utf8)
        }
        let port = right.service == .gateway ? suite.operatorsPort() : suite.port(right.service)
        let answer = try await HTTPClient.request(
            right.method, port: port, path: Self.path(of: right, room: trial.room), headers: headers, body: body)
        let isIn = ![401, 403].contains(answer.status)
        let mayIn = Self.allows(trial)
        if isIn == mayIn, answer.status != 429 {
            // Another tenant's rooms are not there. Its own log has nothing about them, which is an answer.
            let isLog = right.path.hasSuffix("/audit")
            guard asker.isForeign, trial.isThere, !isLog, answer.status != 404 else { return nil }
        }
        let about = trial.room.map { " on \($0)" } ?? ""
        return "\(asker.name): \(right.service) \(right.route)\(about): \(answer.status), may: \(mayIn)"
    }

    private static func path(of right: RouteRight, room: String?) -> String {
        var isRoom = room != nil
        return right.path.split(separator: "/", omittingEmptySubsequences: false).map { part in
            guard part.hasPrefix("{") else { return String(part) }
            if isRoom, ["{id}", "{connection}"].contains(part), let room {
                isRoom = false
                return room
            }
            switch part {
            case "{channel}": return "me"
            case "{topic}": return "channel.songrequest"
            case "{id}" where right.path.hasPrefix("/v1/auth/channels"): return "default"
            default: return "missing"
            }
        }.joined(separator: "/")
    }

    // MARK: what the table means

    private static func allows(_ trial: Trial) -> Bool {
        let (right, asker) = (trial.right, trial.asker)
        if right.needs == "nothing" { return true }
        guard !asker.unknownTo.contains(right.service) else { return false }
        if right.needsCredential == true, asker.token == nil { return false }
        guard let room = right.room else { return true }
        if right.orAdmin == true, asker.scopes.contains("auth:admin"), asker.limits == nil { return true }
        guard Self.holds(right, asker, on: trial.room) else { return false }
        guard let limits = asker.limits else { return true }
        func hasAny(_ room: RouteRight.Room) -> Bool { limits[room]?.isEmpty == false }
        switch room {
        case .channel: return ["radio:read", "stream-live:read", "channel:read"].contains(right.needs)
        case .station, .stream, .camera, .obsConnection: return limits[room]?.contains(trial.room ?? "") ?? false
        // There is nothing of a channel's radio but its stations.
        case .anyStation: return hasAny(.station) || right.needs == "radio:read"
        case .anyStream: return hasAny(.stream)
        case .anyCamera: return hasAny(.camera)
        case .anyOBSConnection: return hasAny(.obsConnection)
        case .anyRoom: return RightsStage.fields.keys.contains(where: hasAny)
        }
    }

    private static func holds(_ right: RouteRight, _ asker: RightsStage.Asker, on room: String?) -> Bool {
        let domain = right.needs.prefix { $0 != ":" }
        var wanted: Set = [right.needs, "\(domain):*"]
        if right.needs != "auth:admin" { wanted.insert("*") }
        if right.room == .obsConnection, let room {
            wanted.formUnion(["\(right.needs):\(room)", "\(domain):*:\(room)"])
        }
        if right.room == .anyOBSConnection, asker.scopes.contains(where: { $0.hasPrefix("obs:*:") }) { return true }
        return !wanted.isDisjoint(with: asker.scopes)
    }

    // MARK: lists

    private static func lists(_ stage: RightsStage) async throws {
        let limited = try stage.asker("limited to rooms of all kinds").token
        let owner = try stage.asker("owner").token
        for (room, service, path, member, id) in [
            (.station, .radioPlayout, "/api/v1/stations", nil, "id"),
            (.stream, .streamMetrics, "/v1/streams", "data", "id"),
            (.camera, .cameraEvents, "/v1/cameras", "cameras", "id"),
            (.obsConnection, .obsBridge, "/api/obs/connections", "connections", "name"),
        ] as [(RouteRight.Room, ServiceName, String, String?, String)] {
            let places = try #require(stage.places[room])
            for (token, expected) in [(limited, [places.a.id]), (owner, [places.a.id, places.b.id])] {
                let answer = try await stage.suite.request("GET", service, path, token: token)
                let listed = (member.map { answer[$0] } ?? answer.body)?.array?.compactMap { $0[id]?.string } ?? []
                #expect(Set(listed) == Set(expected), "\(path)")
            }
        }
    }

    // MARK: credentials made with a limited one

    private static func derived(_ stage: RightsStage) async throws {
        let asker = try stage.asker("limited to a camera")
        let own = try #require(asker.limits?[.camera])
        let other = try #require(stage.places[.camera]).b.id
        func make(_ more: [String: JSON]) async throws -> Suite.Answer {
            let body = JSON.object(["name": "k", "scopes": ["cameras:read"]].merging(more) { $1 })
            return try await stage.suite.request("POST", .auth, "/v1/auth/keys", body, token: asker.token)
        }
        for (refused, field) in [
            (["cameras": [.string(other)]], "cameras"), (["cameras": [], "stations": ["x"]], "stations"),
        ] as [([String: JSON], String)] {
            let answer = try await make(refused)
            #expect(answer.status == 403 && answer["error"]?["details"]?["field"]?.string == field, "\(answer.body)")
        }
        let made = try await make([:])
        let (key, id) = (try #require(made["key"]?.string), try #require(made["id"]?.string))
        let me = try await stage.suite.request("GET", .auth, "/v1/auth/me", token: key)
        #expect(Set(me["cameras"]?.array?.compactMap(\.string) ?? []) == own)
        #expect(me["streams"] == nil && me["stations"] == [])

        // It lists its own kind of keys, and none that can do more.
        let listed = try await stage.suite.request("GET", .auth, "/v1/auth/keys", token: asker.token)
        let ids = listed["data"]?.array?.compactMap { $0["id"]?.string } ?? []
        #expect(ids.contains(id))
        for entry in listed["data"]?.array ?? [] {
            let cameras = Set(entry["cameras"]?.array?.compactMap(\.string) ?? ["none"])
            #expect(cameras.isSubset(of: own))
        }
        let rotated = try await stage.suite.request(
            "POST", .auth, "/v1/auth/keys/\(id)/rotate", ["grace_period_hours": 1], token: asker.token)
        let successor = try #require(rotated["new_key"]?.string, "\(rotated.body)")
        let status = try await stage.suite.request("GET", .cameraEvents, "/v1/cameras/\(other)", token: successor)
            .status
        #expect(status == 403)
    }

    // MARK: who is connected

    private static func connections(_ stage: RightsStage) async throws {
        let token = try #require(try stage.asker("admin").token)
        let client = try await stage.suite.connect(0, "/?token=\(token)")
        try await client.send(["action": "ping"])
        _ = try await client.next { $0["event"] == "pong" }
        for (name, isShown) in [("viewer", false), ("manager", false), ("admin", true), ("owner", true)] {
            let headers = [("Authorization", "Bearer \(try #require(try stage.asker(name).token))")]
            let answer = try await HTTPClient.request(
                "GET", port: stage.suite.operatorsPort(), path: "/connections", headers: headers)
            let shown = try #require(JSON(parsing: answer.body)?["connections"]?.array?.first, "\(name)")
            #expect((shown["address"] != nil) == isShown && (shown["principal"] != nil) == isShown, "\(name): \(shown)")
            #expect(shown["tenant"] == "default")
        }
    }
}
