import Database
import Events
import WebSockets

/// An OBS that the bridge keeps a link to: contract source-saver §9, *ObsConnection*.
struct OBSConnection: Sendable, Equatable {
    /// Whose state counts where OBS's and the stored one differ on connecting.
    enum Winner: String, Sendable, CaseIterable { case crosspoint, obs }

    /// `obs-<ULID>`
    var id: String
    var tenant: String
    /// Unique in its tenant, and never changed: scopes and rooms name it.
    var name: String
    var host: String
    var port: Int
    var path = "/"
    var tls = false
    /// Sealed; see `PasswordSeal`.
    var password: String?
    var enabled = true
    var wins = Winner.crosspoint
    /// What sources are in OBS, where it has that kind.
    var inputKind = "browser_source"
    /// What they are where it does not.
    var fallbackKind: String?
    /// Whether the pages of active sources are loaded anew every `refreshRate` seconds.
    var refreshPages = false
    /// The stream that this OBS's output is.
    var stream: String?
    /// The plan of whoever bound it: as many streams may be live at once. `nil`: it was bound before plans were kept; any number.
    var streamTier: Tier?
    /// As clients were told last.
    var connected = false
    var obsVersion: String?
    var websocketVersion: String?
    var lastConnected: Timestamp?
    var programScene: String?
    var collection: String?
    var createdAt: Timestamp
    var updatedAt: Timestamp

    /// What `/api/obs/…` means.
    static let defaultName = "default"

    var address: ServerAddress {
        ServerAddress(host: self.host, port: self.port, path: self.path, isSecure: self.tls)
    }

    /// Whether a link that was made for `other` does for this one.
    func hasLink(of other: OBSConnection) -> Bool {
        self.address == other.address && self.password == other.password && self.enabled == other.enabled
    }

    init(name: String, tenant: String, host: String, port: Int, at now: Timestamp) {
        self.id = "obs-\(ULID(at: now))"
        self.tenant = tenant
        self.name = name
        self.host = host
        self.port = port
        self.createdAt = now
        self.updatedAt = now
    }

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.tenant = try row.decode("tenant")
        self.name = try row.decode("name")
        self.host = try row.decode("host")
        self.port = try row.decode("port")
        self.path = try row.decode("path")
        self.tls = try row.decode("tls")
        self.password = try row.decode("password")
        self.enabled = try row.decode("enabled")
        guard let wins = Winner(rawValue: try row.decode("wins")) else { throw .decoding("wins is not one of ours") }
        self.wins = wins
        self.inputKind = try row.decode("input_kind")
        self.fallbackKind = try row.decode("fallback_kind")
        self.refreshPages = try row.decode("refresh_pages")
        self.stream = try row.decode("stream")
        self.streamTier = try row.decode("stream_tier", as: String?.self).flatMap(Tier.init)
        self.connected = try row.decode("connected")
        self.obsVersion = try row.decode("obs_version")
        self.websocketVersion = try row.decode("websocket_version")
        self.lastConnected = try row.decode("last_connected")
        self.programScene = try row.decode("program_scene")
        self.collection = try row.decode("collection")
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
    }
}
