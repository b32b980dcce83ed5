// What OBS Studio does: contract source-saver §4. The room is the OBS connection's name.

/// The program scene changed, whoever changed it.
public struct OBSSceneChanged: EventPayload, Hashable {
    public static let type: EventType = "obs.sceneChanged"
    /// `nil`: not known.
    public var previousScene: String?
    public var currentScene: String
    /// As obs-websocket counts: 0 is the bottom entry of OBS's list.
    public var sceneIndex: Int

    public init(previousScene: String?, currentScene: String, sceneIndex: Int) {
        self.previousScene = previousScene
        self.currentScene = currentScene
        self.sceneIndex = sceneIndex
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.previousScene, forKey: .previousScene)
        try container.encode(self.currentScene, forKey: .currentScene)
        try container.encode(self.sceneIndex, forKey: .sceneIndex)
    }
}

/// The link to an OBS came up or went down.
public struct OBSConnectionChanged: EventPayload, Hashable {
    public static let type: EventType = "obs.connectionChanged"
    public var connected: Bool
    public var connectionId: String
    /// `nil` while not connected, both.
    public var obsVersion: String?
    public var websocketVersion: String?

    public init(connected: Bool, connectionId: String, obsVersion: String?, websocketVersion: String?) {
        self.connected = connected
        self.connectionId = connectionId
        self.obsVersion = obsVersion
        self.websocketVersion = websocketVersion
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.connected, forKey: .connected)
        try container.encode(self.connectionId, forKey: .connectionId)
        try container.encode(self.obsVersion, forKey: .obsVersion)
        try container.encode(self.websocketVersion, forKey: .websocketVersion)
    }
}

/// How OBS fares, every five seconds while it is connected.
public struct OBSStatsUpdate: EventPayload, Hashable {
    public static let type: EventType = "obs.statsUpdate"

    public struct Stats: Sendable, Hashable, Codable {
        /// Of the OBS process, in per cent.
        public var cpuUsage: Double
        /// Of the OBS process, in MB.
        public var memoryUsage: Double
        public var fps: Double
        /// To render a frame, in milliseconds.
        public var renderTime: Double
        public var outputSkippedFrames: Int
        public var outputTotalFrames: Int

        public init(
            cpuUsage: Double, memoryUsage: Double, fps: Double, renderTime: Double, outputSkippedFrames: Int,
            outputTotalFrames: Int
        ) {
            self.cpuUsage = cpuUsage
            self.memoryUsage = memoryUsage
            self.fps = fps
            self.renderTime = renderTime
            self.outputSkippedFrames = outputSkippedFrames
            self.outputTotalFrames = outputTotalFrames
        }
    }

    public var stats: Stats

    public init(stats: Stats) { self.stats = stats }
}
