import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A camera, by the address that its picture comes from.
struct Camera: Sendable {
    let id: String
    let name: String
    let sourceURL: String
    let location: String?
    let isEnabled: Bool
    let settings: JSON
    let createdAt: Timestamp
    let updatedAt: Timestamp

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.name = try row.decode("name")
        self.sourceURL = try row.decode("source_url")
        self.location = try row.decode("location")
        self.isEnabled = try row.decode("enabled")
        self.settings = try row.decode("settings")
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
    }

    /// Only those who may write cameras see the whole source address: it may hold credentials.
    func answer(for principal: Principal) -> JSON {
        let source =
            principal.permits(.camerasWrite, on: .camera(self.id))
            ? self.sourceURL : WebAddress(self.sourceURL)?.masked ?? "***"
        return [
            "id": .string(self.id), "name": .string(self.name), "source_url": .string(source),
            "location": self.location.map(JSON.string) ?? .null, "enabled": .bool(self.isEnabled),
            "settings": self.settings,
            "created_at": .integer(self.createdAt.seconds), "updated_at": .integer(self.updatedAt.seconds),
        ]
    }

    static func makeID() -> String { "cam_\(ULID())" }

    /// Whether the text could be an id of ours, as we write them. Nothing else is looked for in the database.
    static func isID(_ text: String) -> Bool {
        guard text.hasPrefix("cam_"), let id = ULID(text: text.dropFirst(4)) else { return false }
        return text == "cam_\(id)"
    }
}

/// What a request says of a camera: all of it to make one, any of it to change one.
struct CameraDraft: Sendable, Equatable {
    var name: String?
    var sourceURL: String?
    var location: String?
    /// Whether `location` is to be set at all; a given null clears it.
    var setsLocation: Bool
    var isEnabled: Bool?
    var settings: CameraSettings?

    static let schemes: Set<String> = ["rtsp", "rtsps", "rtmp", "srt", "http", "https"]

    init(_ object: [String: JSON]) throws(APIFailure) {
        let members = Members(object)
        self.name = try members.text("name", 1...200)
        self.sourceURL = try members.text("source_url", Self.sourceRule, where: Self.isSource)
        self.location = try members.text("location", 1...200)
        self.setsLocation = members.has("location")
        self.isEnabled = try members.bool("enabled")
        if let settings = object["settings"], settings != .null { self.settings = try CameraSettings(settings) }
    }

    private static let sourceRule =
        "must be a URL of at most 2048 characters: \(Self.schemes.sorted().joined(separator: ", "))"

    private static func isSource(_ url: String) -> Bool {
        url.unicodeScalars.count <= 2048 && (WebAddress(url).map { Self.schemes.contains($0.scheme) } ?? false)
    }
}
