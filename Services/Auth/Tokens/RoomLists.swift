import Database
import Events

/// The rooms that a credential is to be limited to, as a body or a row lists them.
struct RoomLists: Sendable {
    var stations: [String]?
    var streams: [String]?
    var cameras: [String]?
    var obsConnections: [String]?

    /// How the lists are called in bodies, claims and tables.
    static let fields: [RoomKind: String] = [
        .station: "stations", .stream: "streams", .camera: "cameras", .obsConnection: "obs_connections",
    ]
    /// The columns of a table that has all of them.
    static let columns: Query = "stations, streams, cameras, obs_connections"

    /// Those that are given, by the names of their fields.
    var lists: [(field: String, ids: [String])] {
        [
            ("stations", self.stations), ("streams", self.streams), ("cameras", self.cameras),
            ("obs_connections", self.obsConnections),
        ].compactMap { field, ids in ids.map { (field, $0) } }
    }

    /// `nil` without any list.
    var limits: RoomLimits? {
        let limits = RoomLimits(
            stations: self.stations.map(Set.init), streams: self.streams.map(Set.init),
            cameras: self.cameras.map(Set.init), obsConnections: self.obsConnections.map(Set.init))
        return limits.isEmpty ? nil : limits
    }
}

extension RoomLists {
    /// With a list of stations wherever there are limits, if an empty one: older processes take its absence for the whole tenant.
    init(_ limits: RoomLimits?) {
        self.init(
            stations: limits.map { ($0.stations ?? []).sorted() }, streams: limits?.streams?.sorted(),
            cameras: limits?.cameras?.sorted(), obsConnections: limits?.obsConnections?.sorted())
    }

    /// Reads a row with these columns.
    init(_ row: Row) throws(DatabaseError) {
        self.init(
            stations: try row.decode("stations"), streams: try row.decode("streams"),
            cameras: try row.decode("cameras"), obsConnections: try row.decode("obs_connections"))
    }
}
