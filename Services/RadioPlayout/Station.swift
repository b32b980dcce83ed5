import Database
import DomainService
import Events
import FoundationEssentials
import HTTPTypes
import ServiceKit

/// A radio station: what listeners know by name, and the room of its events.
struct Station: Sendable {
    let id: String
    let name: String
    let description: String
    let timezone: String
    let isActive: Bool
    let isPublic: Bool
    let ownerID: String
    let createdAt: Timestamp
    let updatedAt: Timestamp

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.name = try row.decode("name")
        self.description = try row.decode("description")
        self.timezone = try row.decode("timezone")
        self.isActive = try row.decode("active")
        self.isPublic = try row.decode("public")
        self.ownerID = try row.decode("owner_id")
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
    }

    var answer: JSON {
        [
            "id": .string(self.id), "name": .string(self.name), "description": .string(self.description),
            "timezone": .string(self.timezone), "active": .bool(self.isActive), "public": .bool(self.isPublic),
            "owner_id": .string(self.ownerID), "created_at": .string(self.createdAt.rfc3339),
            "updated_at": .string(self.updatedAt.rfc3339),
        ]
    }

    func publicAnswer(mounts: [Mount]) -> JSON {
        [
            "id": .string(self.id), "name": .string(self.name), "description": .string(self.description),
            "mounts": .array(mounts.map(\.publicAnswer)),
        ]
    }

    static func makeID() -> String { UUID().uuidString.lowercased() }

    /// Whether the text could be an id of ours, as we write them. Nothing else is looked for in the database.
    static func isID(_ text: String) -> Bool {
        UUID(uuidString: text).map { $0.uuidString.lowercased() == text } ?? false
    }
}

/// What a request says of a station: all of it to make one, any of it to change one.
struct StationDraft: Sendable, Equatable {
    var name: String?
    var description: String?
    var timezone: String?
    var isActive: Bool?
    var isPublic: Bool?

    init(_ object: [String: JSON]) throws(APIFailure) {
        let members = Members(object)
        self.name = try members.text("name", 1...200)
        self.description = try members.text("description", 0...2000)
        self.timezone = try members.text("timezone", 1...100)
        self.isActive = try members.bool("active")
        self.isPublic = try members.bool("public")
    }
}
