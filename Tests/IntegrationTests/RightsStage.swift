import Events
import Foundation
import TestSupport
import Testing

/// Two rooms of each kind in the default tenant, and people and tokens that may do different things there.
struct RightsStage {
    /// A room, and one of its kind that does not exist: what would change or delete a room is tried on that.
    struct Place: Hashable {
        let id: String
        let missing: String
    }

    struct Asker {
        let name: String
        var token: String?
        var headers: [(String, String)] = []
        var isForeign = false
        var scopes: Set<String> = []
        /// `nil`: not limited. A kind without a list has no rooms.
        var limits: [RouteRight.Room: Set<String>]?
        /// The services in which it is nobody at all.
        var unknownTo: Set<ServiceName> = []
    }

    let suite: Suite
    private(set) var places: [RouteRight.Room: (a: Place, b: Place)] = [:]
    private(set) var askers: [Asker] = []

    static let fields: [RouteRight.Room: String] = [
        .station: "stations", .stream: "streams", .camera: "cameras", .obsConnection: "obs_connections",
    ]

    init(_ suite: Suite) async throws {
        self.suite = suite
        try await self.addPlaces()
        try await self.addUsers()
        try await self.addTokens()
        self.askers.append(
            Asker(
                name: "a foreign page", headers: [("Origin", "https://evil.example")],
                unknownTo: Set(ServiceName.allCases)))
        self.askers.append(
            Asker(
                name: "a local client without a credential",
                scopes: ["obs:read", "obs:screenshot", "obs:sources", "obs:scene", "obs:connect", "system:read"],
                unknownTo: [.auth, .streamMetrics, .radioPlayout, .cameraEvents]))
    }

    func asker(_ name: String) throws -> Asker { try #require(self.askers.first { $0.name == name }) }

    // MARK: rooms

    private mutating func addPlaces() async throws {
        let suite = self.suite
        let owner = try suite.ownerKey
        func make(_ service: ServiceName, _ path: String, _ body: JSON, _ member: String) async throws -> String {
            let answer = try await suite.request("POST", service, path, body, token: owner)
            return try #require(answer[member]?.string, "\(path): \(answer.status) \(answer.body)")
        }
        for (room, service, path, member) in [
            (.station, .radioPlayout, "/api/v1/stations", "id"), (.stream, .streamMetrics, "/v1/streams", "id"),
            (.camera, .cameraEvents, "/v1/cameras", "id"), (.obsConnection, .obsBridge, "/api/obs/connections", "name"),
        ] as [(RouteRight.Room, ServiceName, String, String)] {
            var made: [Place] = []
            for letter in ["a", "b"] {
                let name = JSON.string("room-\(letter)")
                let body: JSON =
                    switch room {
                    case .stream: ["title": name, "protocol": "rtmp"]
                    case .camera: ["name": name, "source_url": "rtsp://user:secret@192.0.2.1/s"]
                    case .obsConnection: ["name": name, "host": "127.0.0.1", "port": 1, "enabled": false]
                    default: ["name": name]
                    }
                let id = try await make(service, path, body, member)
                // A station is found before it is asked about, and nothing here changes one.
                made.append(Place(id: id, missing: room == .station ? id : "missing-\(letter)"))
            }
            self.places[room] = (made[0], made[1])
        }
    }

    // MARK: who asks

    private mutating func addUsers() async throws {
        let owner = try self.suite.ownerKey
        self.askers.append(Asker(name: "owner", token: owner, scopes: ["*", "auth:admin"]))
        let station = try #require(self.places[.station]).a.id
        let password: JSON = "rights of nine askers"
        for (role, at) in [
            ("viewer", nil), ("dj", nil), ("manager", nil), ("admin", nil), ("dj", station), ("manager", station),
            ("admin", station),
        ] as [(String, String?)] {
            let name = at == nil ? role : "\(role) of a station"
            let email = JSON.string("\(name.replacing(" ", with: "-"))@rights.example")
            var held: [String: JSON] = ["channel": "default", "role": .string(role)]
            if let at { held["station"] = .string(at) }
            let made = try await self.suite.request(
                "POST", .auth, "/v1/auth/users",
                ["email": email, "name": .string(name), "password": password, "roles": [.object(held)]], token: owner)
            try #require(made.status == 201, "\(made.body)")
            let login = try await self.suite.request(
                "POST", .auth, "/api/v1/auth/login", ["email": email, "password": password])
            let token = try #require(login["access_token"]?.string, "\(login.body)")
            let me = try await self.suite.request("GET", .auth, "/v1/auth/me", token: token)
            self.askers.append(
                Asker(
                    name: name, token: token, scopes: Set(me["scopes"]?.array?.compactMap(\.string) ?? []),
                    limits: at.map { [.station: [$0]] }))
        }
    }

    private mutating func addTokens() async throws {
        func ids(_ room: RouteRight.Room) -> Set<String> { self.places[room].map { [$0.a.id, $0.a.missing] } ?? [] }
        for (room, type) in [
            (.station, "jwt"), (.stream, "oauth2"), (.camera, "apikey"), (.obsConnection, "jwt"),
        ] as [(RouteRight.Room, String)] {
            let limits = [room: ids(room)]
            self.askers.append(
                Asker(
                    name: "limited to a \(room.rawValue)", token: try await self.token(type, "*", limits: limits),
                    scopes: ["*"], limits: limits))
        }
        let all = Dictionary(uniqueKeysWithValues: Self.fields.keys.map { ($0, ids($0)) })
        self.askers.append(
            Asker(
                name: "limited to rooms of all kinds", token: try await self.token("oauth2", "*", limits: all),
                scopes: ["*"], limits: all))
        let named = "obs:*:\(try #require(self.places[.obsConnection]).a.id)"
        self.askers.append(
            Asker(name: "everything on one OBS", token: try await self.token("jwt", named), scopes: [named]))
        self.askers.append(
            Asker(
                name: "another tenant", token: try await self.token("jwt", "*", tenant: "theirs"), isForeign: true,
                scopes: ["*"]))
    }

    private func token(
        _ type: String, _ scope: String, tenant: String = "default", limits: [RouteRight.Room: Set<String>] = [:]
    ) async throws -> String {
        var body: [String: JSON] = [
            "type": .string(type), "scope": .string(scope), "tenant": .string(tenant), "tier": "enterprise",
        ]
        for (room, ids) in limits { body[Self.fields[room] ?? ""] = .array(ids.map(JSON.string)) }
        let answer = try await self.suite.request(
            "POST", .auth, "/v1/tokens", .object(body), token: try self.suite.ownerKey)
        return try #require(answer["token"]?.string, "\(answer.status) \(answer.body)")
    }
}
