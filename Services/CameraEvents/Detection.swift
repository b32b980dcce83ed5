import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A detection as an analyser sends it: the members of `face_detected` (contract airys §5) without the ids, which are ours.
struct DetectionDraft: Sendable, Equatable {
    let timestamp: Int64
    let confidence: Double
    let box: FaceDetected.Box
    let frame: FaceDetected.Frame?
    let person: FaceDetected.Person?
    let snapshotURL: String?

    private static let pixelsMax = 100_000
    /// The last second of the year 9999.
    static let timeMax = 253_402_300_799

    /// - Parameter now: the detection's time, unless it says one.
    init(_ json: JSON, camera: String, now: Timestamp) throws(APIFailure) {
        guard let object = json.object else { throw APIFailure(.badRequest, "A detection must be an object") }
        let members = Members(object)
        if let said = try members.text("camera_id", 1...100), said != camera {
            throw members.invalid("camera_id", "is not the camera of the path")
        }
        self.timestamp = try members.integer("timestamp", 0...Self.timeMax).map(Int64.init) ?? now.seconds
        self.confidence = try members.require("confidence", try members.number("confidence", 0...1))
        self.frame = try Self.frame(members)
        self.box = try Self.box(members, in: self.frame)
        self.person = try Self.person(members)
        self.snapshotURL = try Self.snapshot(members)
    }

    func payload(camera: String) -> FaceDetected {
        FaceDetected(
            detectionID: "det_\(ULID())", cameraID: camera, timestamp: self.timestamp, confidence: self.confidence,
            boundingBox: self.box, frame: self.frame, person: self.person, snapshotURL: self.snapshotURL)
    }

    private static func frame(_ members: Members) throws(APIFailure) -> FaceDetected.Frame? {
        guard let frame = try members.members("frame") else { return nil }
        return FaceDetected.Frame(
            width: try frame.require("width", try frame.integer("width", 1...Self.pixelsMax)),
            height: try frame.require("height", try frame.integer("height", 1...Self.pixelsMax)))
    }

    private static func box(_ members: Members, in frame: FaceDetected.Frame?) throws(APIFailure) -> FaceDetected.Box {
        let box = try members.require("bounding_box", try members.members("bounding_box"))
        let max = Double(Self.pixelsMax)
        let read = FaceDetected.Box(
            x: try box.require("x", try box.number("x", 0...max)),
            y: try box.require("y", try box.number("y", 0...max)),
            width: try box.require("width", try box.number("width", 0...max)),
            height: try box.require("height", try box.number("height", 0...max)))
        guard read.width > 0, read.height > 0 else { throw members.invalid("bounding_box", "must not be empty") }
        if let frame, read.x + read.width > Double(frame.width) || read.y + read.height > Double(frame.height) {
            throw members.invalid("bounding_box", "must lie within the frame")
        }
        return read
    }

    private static func person(_ members: Members) throws(APIFailure) -> FaceDetected.Person? {
        guard let person = try members.members("person") else { return nil }
        return FaceDetected.Person(
            id: try person.require("id", try person.text("id", 1...200)),
            name: try person.require("name", try person.text("name", 1...200)),
            score: try person.require("score", try person.number("score", 0...1)))
    }

    /// Every client of the camera sees the address, so it holds no password.
    private static func snapshot(_ members: Members) throws(APIFailure) -> String? {
        let rule = "must be an http or https URL of at most 2048 characters, without a user"
        return try members.text("snapshot_url", rule) { text in
            guard text.unicodeScalars.count <= 2048, let address = WebAddress(text) else { return false }
            return ["http", "https"].contains(address.scheme) && !address.hasUser
        }
    }
}
