import Access
import DomainService
import Events
import ServiceKit

/// What a client wants an OBS connection to be: the fields that it named, each one checked.
struct ConnectionDraft: Sendable {
    private let members: Members
    private var host: String?
    private var port: Int?
    private var path: String?
    private var tls: Bool?
    /// `.some(nil)`: none.
    private var password: String??
    private var enabled: Bool?
    private var wins: OBSConnection.Winner?
    private var inputKind: String?
    private var fallbackKind: String??
    private var refreshPages: Bool?
    private var stream: String??

    private static let passwordMax = 1024

    /// The members of a connection that the service itself sets: a client that has read them may send them back.
    private static let serviceMembers: Set<String> = [
        "id", "hasPassword", "state", "connected", "problem", "streamProblem", "obsVersion", "websocketVersion",
        "lastConnected",
        "currentScene", "createdAt", "updatedAt",
    ]

    private static let members: Set<String> = [
        "name", "host", "port", "path", "tls", "password", "enabled", "wins", "inputKind", "fallbackKind",
        "refreshPages", "streamId",
    ]

    /// Throws 400. What the service itself sets, and what it does not know, is ignored; see `requireOnlyKnown`.
    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        self.members = members
        self.host = try members.text("host", "must be a host name or an IP address", where: Self.isHost)
        self.port = try members.integer("port", 1...65_535)
        self.path = try members.text("path", "must begin with / and hold at most 1024 visible characters") { path in
            path.hasPrefix("/") && path.utf8.count <= 1024 && path.utf8.allSatisfy { (33...126).contains($0) }
        }
        self.tls = try members.bool("tls")
        self.enabled = try members.bool("enabled")
        self.wins = try members.choice("wins", of: OBSConnection.Winner.self)
        self.inputKind = try members.text("inputKind", Self.kindRule, where: Self.isKind)
        self.refreshPages = try members.bool("refreshPages")
        if members.has("password") {
            self.password = .some(try members.text("password", 0...Self.passwordMax, mayBeBlank: true))
        }
        if members.has("fallbackKind") {
            self.fallbackKind = .some(try members.text("fallbackKind", Self.kindRule, where: Self.isKind))
        }
        if members.has("streamId") { self.stream = .some(try members.text("streamId", 1...100)) }
    }

    private static let kindRule = "must be the name of an input kind: small letters, digits and _"

    private static func isKind(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
    }

    private static func isHost(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0)
                    || [45, 46, 58, 95].contains($0)
            }
    }

    /// The name of a new one. Throws 400.
    func name() throws(APIFailure) -> String {
        let rule = "must be 1 to 63 small letters, digits and -, a letter or digit first"
        return try self.members.require("name", try self.members.text("name", rule, where: Self.isName))
    }

    static func isName(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count) && text.utf8.first != 45
            && text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    /// Throws 400 unless it says where the OBS is.
    func requireAddress() throws(APIFailure) -> (host: String, port: Int) {
        (try self.members.require("host", self.host), try self.members.require("port", self.port))
    }

    /// Throws 403 when it binds a stream that the principal may not write: what OBS does then happens to the stream.
    func requireStream(within principal: Principal) throws(APIFailure) {
        guard case .some(.some(let stream)) = self.stream else { return }
        guard principal.permits(.streamsWrite, on: .stream(stream)) else {
            throw APIFailure(lacking: .streamsWrite, principal)
        }
    }

    /// Throws 400 when it has a member that no connection has.
    func requireOnlyKnown() throws(APIFailure) {
        try self.members.requireOnly(Self.members.union(Self.serviceMembers), "is not known here")
    }

    /// The fields that it sets, for the audit log: without the password, and without the query of the path.
    var details: JSON {
        var details = self.members.object.filter { Self.members.contains($0.key) && $0.key != "password" }
        if let path = self.path { details["path"] = .string(String(path.prefix { $0 != "?" })) }
        return .object(details)
    }

    /// Whether it names no field.
    var isEmpty: Bool {
        self.host == nil && self.port == nil && self.path == nil && self.tls == nil && self.password == nil
            && self.enabled == nil && self.wins == nil && self.inputKind == nil && self.fallbackKind == nil
            && self.refreshPages == nil && self.stream == nil
    }

    /// Sets the fields of a connection. Throws 400 when the address changes and the password that belongs to the old one is not
    /// replaced or removed: the server at the new address must not receive the proof of it.
    /// - Parameter tier: the plan of whoever asks.
    func apply(to connection: inout OBSConnection, seal: PasswordSeal, tier: Tier, at now: Timestamp) throws {
        let address = connection.address
        connection.host = self.host ?? connection.host
        connection.port = self.port ?? connection.port
        connection.path = self.path ?? connection.path
        connection.tls = self.tls ?? connection.tls
        connection.enabled = self.enabled ?? connection.enabled
        connection.wins = self.wins ?? connection.wins
        connection.inputKind = self.inputKind ?? connection.inputKind
        connection.refreshPages = self.refreshPages ?? connection.refreshPages
        if let fallbackKind = self.fallbackKind { connection.fallbackKind = fallbackKind }
        if let stream = self.stream {
            connection.stream = stream
            connection.streamTier = stream.map { _ in tier }
        }
        if let password = self.password {
            connection.password = try password.flatMap { text in
                text.isEmpty ? nil : try seal.seal(text, for: connection)
            }
        } else if connection.password != nil, connection.address != address {
            throw self.members.invalid(
                "password", "is needed again, since the address of OBS changes; null removes the stored one")
        }
        connection.updatedAt = now
    }
}
