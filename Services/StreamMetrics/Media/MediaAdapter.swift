import Events
import Foundation
import HTTPTypes
import Hummingbird
import ServiceKit

/// What one kind of media server says, in our words.
protocol MediaAdapter: Sendable {
    /// Whether it never gives two sessions the same id.
    var hasUniqueSessions: Bool { get }

    /// What a hook says; `nil`: nothing that concerns us. Throws 400 for what it cannot mean.
    func call(_ request: HookRequest) throws(APIFailure) -> MediaCall?

    /// What it takes for a yes.
    var acceptance: Response { get }

    /// Who publishes and plays. Throws for an answer that is not its statistics.
    /// - Parameters:
    ///   - url: where its statistics are.
    ///   - fetch: gets a document.
    func snapshot(
        from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> MediaSnapshot
}

/// A hook as it came in.
struct HookRequest: Sendable {
    /// Of the URL's query.
    let query: FormParameters
    let body: [UInt8]

    func form() throws(APIFailure) -> FormParameters { try FormParameters(self.body) }

    func object() throws(APIFailure) -> [String: JSON] {
        guard let object = JSON(parsing: self.body, duplicates: .refused)?.object else {
            throw APIFailure(.badRequest, "The body must be a JSON object")
        }
        return object
    }
}

/// What a media server says that somebody does.
struct MediaCall: Sendable {
    enum Action: Sendable, Hashable {
        case publish, unpublish, play, stop
        /// It goes on.
        case alive(MediaSession.Role)
        /// A recording is complete: its path.
        case recorded(String)
        /// May somebody publish? It follows when they do.
        case mayPublish
    }

    let action: Action
    /// The stream's, as it stands in the URL without what comes before.
    let name: String
    /// The id of the connection, or of what the server calls so.
    let session: String
    var address: String?
    var agent: String?
    /// The key that the publisher has shown.
    var key: String?
    /// Whether the server has asked `mayPublish` before.
    var isAuthorized = false

    init(
        _ action: Action, name: String, session: String, address: String? = nil, agent: String? = nil,
        key: String? = nil, isAuthorized: Bool = false
    ) {
        self.action = action
        self.name = name
        self.session = session
        self.address = address
        self.agent = agent
        self.key = key
        self.isAuthorized = isAuthorized
    }

    /// The last part of a path.
    static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }
}

/// Who publishes and plays at a server at a moment.
struct MediaSnapshot: Sendable, Hashable {
    struct Publisher: Sendable, Hashable {
        var name: String
        var session: String
        var startedAt: Timestamp?
        var address: String?
        var agent: String?
        /// Since it began.
        var bytes: Int64
        /// Since it began; `nil`: not counted.
        var frames: Int64?
        /// As the stream itself says; `nil`: it does not.
        var fps: Double?
    }

    struct Player: Sendable, Hashable {
        var name: String
        var session: String
        var startedAt: Timestamp?
        var address: String?
        var agent: String?
    }

    var publishers: [Publisher] = []
    var players: [Player] = []

    /// When something began that many milliseconds ago; `nil`: that cannot be, or it is not said.
    static func start(_ milliseconds: Double?, before moment: Timestamp) -> Timestamp? {
        guard let milliseconds, (0...3.2e10).contains(milliseconds) else { return nil }
        return Timestamp(milliseconds: moment.milliseconds - Int64(milliseconds))
    }
}

/// An answer that is not what it should be.
struct NoStatistics: Error, CustomStringConvertible {
    let description: String
}
