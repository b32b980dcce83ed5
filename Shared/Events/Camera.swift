/// `camera.face_detected`: an analyser saw a face (contract airys §5). Times are Unix seconds.
public struct FaceDetected: EventPayload, Hashable {
    public static let type: EventType = "camera.face_detected"

    /// A rectangle in pixels of the frame, from its upper left corner.
    public struct Box: Codable, Sendable, Hashable {
        public var x: Double
        public var y: Double
        public var width: Double
        public var height: Double

        public init(x: Double, y: Double, width: Double, height: Double) {
            self.x = x
            self.y = y
            self.width = width
            self.height = height
        }
    }

    public struct Frame: Codable, Sendable, Hashable {
        public var width: Int
        public var height: Int

        public init(width: Int, height: Int) {
            self.width = width
            self.height = height
        }
    }

    /// Whom the analyser takes it for.
    public struct Person: Codable, Sendable, Hashable {
        public var id: String
        public var name: String
        /// How sure it is, 0 to 1.
        public var score: Double

        public init(id: String, name: String, score: Double) {
            self.id = id
            self.name = name
            self.score = score
        }
    }

    public var detectionID: String
    public var cameraID: String
    public var timestamp: Int64
    /// That it is a face, 0 to 1.
    public var confidence: Double
    public var boundingBox: Box
    /// `nil`: the analyser did not say.
    public var frame: Frame?
    public var person: Person?
    public var snapshotURL: String?

    enum CodingKeys: String, CodingKey {
        case timestamp, confidence, frame, person
        case detectionID = "detection_id"
        case cameraID = "camera_id"
        case boundingBox = "bounding_box"
        case snapshotURL = "snapshot_url"
    }

    public init(
        detectionID: String, cameraID: String, timestamp: Int64, confidence: Double, boundingBox: Box, frame: Frame?,
        person: Person?, snapshotURL: String?
    ) {
        self.detectionID = detectionID
        self.cameraID = cameraID
        self.timestamp = timestamp
        self.confidence = confidence
        self.boundingBox = boundingBox
        self.frame = frame
        self.person = person
        self.snapshotURL = snapshotURL
    }

    /// Absent values are null, not missing.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(self.detectionID, forKey: .detectionID)
        try members.encode(self.cameraID, forKey: .cameraID)
        try members.encode(self.timestamp, forKey: .timestamp)
        try members.encode(self.confidence, forKey: .confidence)
        try members.encode(self.boundingBox, forKey: .boundingBox)
        try members.encode(self.frame, forKey: .frame)
        try members.encode(self.person, forKey: .person)
        try members.encode(self.snapshotURL, forKey: .snapshotURL)
    }
}

/// `camera.stream_status`: a camera's stream changed, or was asked about (contract airys §5).
public struct StreamStatus: EventPayload, Hashable {
    public static let type: EventType = "camera.stream_status"

    public enum Status: String, Codable, Sendable, CaseIterable {
        case starting, active, stopping, stopped, error
    }

    /// What made the service say it; `status`: nothing changed.
    public enum Cause: String, Codable, Sendable {
        case started, stopped, error, status
        case qualityChanged = "quality_changed"
    }

    public struct Quality: Codable, Sendable, Hashable {
        public var width: Int
        public var height: Int
        public var frameRate: Double
        public var bitrate: Int
        public var adaptive: Bool

        enum CodingKeys: String, CodingKey {
            case width, height, adaptive
            case frameRate = "frame_rate"
            case bitrate = "bitrate_kbps"
        }

        /// - Parameter bitrate: in kbit/s.
        public init(width: Int, height: Int, frameRate: Double, bitrate: Int, adaptive: Bool) {
            self.width = width
            self.height = height
            self.frameRate = frameRate
            self.bitrate = bitrate
            self.adaptive = adaptive
        }
    }

    public struct Fault: Codable, Sendable, Hashable {
        public var code: String
        public var message: String

        public init(code: String, message: String) {
            self.code = code
            self.message = message
        }
    }

    public var cameraID: String
    public var streamID: String?
    public var status: Status
    public var event: Cause
    public var quality: Quality?
    public var error: Fault?
    public var timestamp: Int64

    enum CodingKeys: String, CodingKey {
        case status, event, quality, error, timestamp
        case cameraID = "camera_id"
        case streamID = "stream_id"
    }

    public init(
        cameraID: String, streamID: String?, status: Status, event: Cause, quality: Quality?, error: Fault?,
        timestamp: Int64
    ) {
        self.cameraID = cameraID
        self.streamID = streamID
        self.status = status
        self.event = event
        self.quality = quality
        self.error = error
        self.timestamp = timestamp
    }

    /// Absent values are null, not missing.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(self.cameraID, forKey: .cameraID)
        try members.encode(self.streamID, forKey: .streamID)
        try members.encode(self.status, forKey: .status)
        try members.encode(self.event, forKey: .event)
        try members.encode(self.quality, forKey: .quality)
        try members.encode(self.error, forKey: .error)
        try members.encode(self.timestamp, forKey: .timestamp)
    }
}
