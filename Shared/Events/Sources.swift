/// A browser source: contract source-saver §9. In events and in the REST API it has the same fields.
public struct Source: Sendable, Hashable {
    /// `source-<ULID>`
    public var id: String
    /// Unique in its tenant.
    public var name: String
    public var url: String
    /// In pixels.
    public var width: Int
    public var height: Int
    /// In seconds.
    public var refreshRate: Int
    public var cssCustom: String
    public var jsCustom: String
    public var isActive: Bool
    public var createdAt: Timestamp
    public var updatedAt: Timestamp
    /// The last time that it went active, and the last time that it went inactive.
    public var activatedAt: Timestamp?
    public var deactivatedAt: Timestamp?

    public init(
        id: String, name: String, url: String, width: Int, height: Int, refreshRate: Int, cssCustom: String,
        jsCustom: String,
        isActive: Bool, createdAt: Timestamp, updatedAt: Timestamp, activatedAt: Timestamp?, deactivatedAt: Timestamp?
    ) {
        self.id = id
        self.name = name
        self.url = url
        self.width = width
        self.height = height
        self.refreshRate = refreshRate
        self.cssCustom = cssCustom
        self.jsCustom = jsCustom
        self.isActive = isActive
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.activatedAt = activatedAt
        self.deactivatedAt = deactivatedAt
    }
}

extension Source: Codable {
    public enum CodingKeys: String, CodingKey {
        case id, name, url, width, height, refreshRate, cssCustom, jsCustom, isActive, createdAt, updatedAt, activatedAt
        case deactivatedAt
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func moment(_ key: CodingKeys) throws -> Timestamp? {
            guard let text = try container.decodeIfPresent(String.self, forKey: key) else { return nil }
            return try Timestamp(iso8601: text).orCorrupted(container, key)
        }
        self.init(
            id: try container.decode(String.self, forKey: .id), name: try container.decode(String.self, forKey: .name),
            url: try container.decode(String.self, forKey: .url), width: try container.decode(Int.self, forKey: .width),
            height: try container.decode(Int.self, forKey: .height),
            refreshRate: try container.decode(Int.self, forKey: .refreshRate),
            cssCustom: try container.decode(String.self, forKey: .cssCustom),
            jsCustom: try container.decode(String.self, forKey: .jsCustom),
            isActive: try container.decode(Bool.self, forKey: .isActive),
            createdAt: try moment(.createdAt).orCorrupted(container, .createdAt),
            updatedAt: try moment(.updatedAt).orCorrupted(container, .updatedAt), activatedAt: try moment(.activatedAt),
            deactivatedAt: try moment(.deactivatedAt))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.id, forKey: .id)
        try container.encode(self.name, forKey: .name)
        try container.encode(self.url, forKey: .url)
        try container.encode(self.width, forKey: .width)
        try container.encode(self.height, forKey: .height)
        try container.encode(self.refreshRate, forKey: .refreshRate)
        try container.encode(self.cssCustom, forKey: .cssCustom)
        try container.encode(self.jsCustom, forKey: .jsCustom)
        try container.encode(self.isActive, forKey: .isActive)
        try container.encode(self.createdAt.iso8601, forKey: .createdAt)
        try container.encode(self.updatedAt.iso8601, forKey: .updatedAt)
        try container.encode(self.activatedAt?.iso8601, forKey: .activatedAt)
        try container.encode(self.deactivatedAt?.iso8601, forKey: .deactivatedAt)
    }
}

extension Optional {
    fileprivate func orCorrupted<Key>(_ container: KeyedDecodingContainer<Key>, _ key: Key) throws -> Wrapped {
        guard let self else {
            throw DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: "not an ISO 8601 time")
        }
        return self
    }
}

/// A source was created.
public struct SourceCreated: EventPayload, Hashable {
    public static let type: EventType = "sources.create"
    public var source: Source

    public init(source: Source) { self.source = source }
}

/// Fields of a source changed.
public struct SourceUpdated: EventPayload, Hashable {
    public static let type: EventType = "sources.update"
    public var source: Source
    /// The fields' names, `isActive` among them if it changed.
    public var changes: [String]

    public init(source: Source, changes: [String]) {
        self.source = source
        self.changes = changes
    }
}

/// A source went active.
public struct SourceActivated: EventPayload, Hashable {
    public static let type: EventType = "sources.activate"
    public var sourceId: String
    public var sourceName: String
    public var isActive = true
    /// ISO 8601
    public var activatedAt: String

    public init(sourceId: String, sourceName: String, activatedAt: Timestamp) {
        self.sourceId = sourceId
        self.sourceName = sourceName
        self.activatedAt = activatedAt.iso8601
    }
}

/// A source went inactive.
public struct SourceDeactivated: EventPayload, Hashable {
    public static let type: EventType = "sources.deactivate"
    public var sourceId: String
    public var sourceName: String
    public var isActive = false
    /// ISO 8601
    public var deactivatedAt: String

    public init(sourceId: String, sourceName: String, deactivatedAt: Timestamp) {
        self.sourceId = sourceId
        self.sourceName = sourceName
        self.deactivatedAt = deactivatedAt.iso8601
    }
}

/// A source was deleted.
public struct SourceDeleted: EventPayload, Hashable {
    public static let type: EventType = "sources.delete"
    public var sourceId: String
    public var sourceName: String

    public init(sourceId: String, sourceName: String) {
        self.sourceId = sourceId
        self.sourceName = sourceName
    }
}
