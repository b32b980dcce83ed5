import DomainService
import Events
import HTTPTypes
import ServiceKit

/// How a camera's stream should be encoded (contract airys §4); what is `nil` is left as it is.
struct CameraSettings: Codable, Sendable, Equatable {
    var adaptive_bitrate: Bool?
    var bitrate_kbps: Int?
    var width: Int?
    var height: Int?
    var frame_rate: Double?

    init() {}

    init(_ json: JSON) throws(APIFailure) {
        guard let object = json.object else { throw Self.invalid("settings must be an object") }
        let members = Members(object, at: "settings.")
        do throws(APIFailure) {
            try members.requireOnly(
                ["adaptive_bitrate", "bitrate_kbps", "width", "height", "frame_rate"], "is not known")
            self.adaptive_bitrate = try members.bool("adaptive_bitrate")
            self.bitrate_kbps = try members.integer("bitrate_kbps", 64...50_000)
            self.width = try members.integer("width", 16...7680)
            self.height = try members.integer("height", 16...4320)
            self.frame_rate = try members.number("frame_rate", 1...120)
        } catch {
            throw Self.invalid(error.message)
        }
    }

    var isEmpty: Bool { self == CameraSettings() }

    var json: JSON {
        var members: [String: JSON] = [:]
        members["adaptive_bitrate"] = self.adaptive_bitrate.map(JSON.bool)
        members["bitrate_kbps"] = self.bitrate_kbps.map { .integer(Int64($0)) }
        members["width"] = self.width.map { .integer(Int64($0)) }
        members["height"] = self.height.map { .integer(Int64($0)) }
        members["frame_rate"] = self.frame_rate.map(JSON.number)
        return .object(members)
    }

    private static func invalid(_ message: String) -> APIFailure {
        APIFailure(.badRequest, code: "INVALID_SETTINGS", message)
    }
}
