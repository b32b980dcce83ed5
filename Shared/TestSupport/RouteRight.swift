public import Events
import Foundation

/// A row of the table of rights: what a route needs, and the room that it is about.
public struct RouteRight: Sendable, Hashable, Decodable {
    public enum Room: String, Sendable, Decodable {
        case channel, station, stream, camera
        case obsConnection = "obs connection"
        /// Any room of a kind: the route lists what is in the rooms that the asker may see.
        case anyStation = "any station"
        case anyStream = "any stream"
        case anyCamera = "any camera"
        case anyOBSConnection = "any obs connection"
        case anyRoom = "any room"
    }

    public let service: ServiceName
    /// As the router has it: `GET /v1/cameras/{id}`.
    public let route: String
    /// A scope; `nothing`, `credential` for any, or `form` for what a form in the body proves.
    public let needs: String
    /// Missing where no scope is needed.
    public let room: Room?
    /// Whether `auth:admin` will do instead.
    public let orAdmin: Bool?
    /// Whether a client on this machine needs a credential though its anonymous principal has the scope.
    public let needsCredential: Bool?
    /// What is sent, with `$room` for the room's id, where the room is in the body; elsewhere a body that no route takes.
    public let body: JSON?

    public var method: String { String(self.route.prefix { $0 != " " }) }
    public var path: String { String(self.route.drop { $0 != " " }.dropFirst()) }

    /// All rows: one for each route of each service.
    public static func table() throws -> [RouteRight] {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Tests/IntegrationTests/Rights/routes.json").standardized
        return try JSONDecoder().decode([RouteRight].self, from: Data(contentsOf: file))
    }
}
