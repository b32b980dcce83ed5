package import Events
package import Foundation
import HTTPTypes
package import Requests

/// An action of a publisher or player at a media server.
package enum MediaRole: String, Sendable, Hashable { case publish, play }

/// What one kind of media server says, in our words.
package protocol MediaAdapter: Sendable {
    /// Whether it never gives two sessions the same id.
    var hasUniqueSessions: Bool { get }

    /// What a hook says; `nil`: nothing that concerns us. Throws 400 for what it cannot mean.
    func call(_ request: HookRequest) throws(APIFailure) -> MediaCall?

    /// The text that it takes for a yes.
    var acceptance: String { get }

    /// Who publishes and plays. Throws for an answer that is not its statistics.
    /// - Parameters:
    ///   - url: where its statistics are.
    ///   - fetch: gets a document.
    func snapshot(
        from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> MediaSnapshot
}

/// A hook as it came in.
package struct HookRequest: Sendable {
    /// Of the URL's query.
    package let query: FormParameters
    package let body: [UInt8]

    package init(query: FormParameters, body: [UInt8]) {
        self.query = query
        self.body = body
    }

    package func form() throws(APIFailure) -> FormParameters { try FormParameters(self.body) }

    package func object() throws(APIFailure) -> [String: JSON] {
        guard let object = JSON(parsing: self.body, duplicates: .refused)?.object else {
            throw APIFailure(.badRequest, "The body must be a JSON object")
        }
        return object
    }
}

/// What a media server says that somebody does.
package struct MediaCall: Sendable {
    package enum Action: Sendable, Hashable {
        case publish, unpublish, play, stop
        /// It goes on.
        case alive(MediaRole)
        /// A recording is complete: its path.
        case recorded(String)
        /// May somebody publish? It follows when they do.
        case mayPublish
    }

    package let action: Action
    /// The stream's, as it stands in the URL without what comes before.
    package let name: String
    /// The id of the connection, or of what the server calls so.
    package let session: String
    package var address: String?
    package var agent: String?
    /// The key that the publisher has shown.
    package var key: String?
    /// Whether the server has asked `mayPublish` before.
    package var isAuthorized = false

    package init(
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
    package static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }
}

/// Who publishes and plays at a server at a moment.
package struct MediaSnapshot: Sendable, Hashable {
    package struct Publisher: Sendable, Hashable {
        package var name: String
        package var session: String
        package var startedAt: Timestamp?
        package var address: String?
        package var agent: String?
        /// Since it began.
        package var bytes: Int64
        /// Since it began; `nil`: not counted.
        package var frames: Int64?
        /// As the stream itself says; `nil`: it does not.
        package var fps: Double?
    }

    package struct Player: Sendable, Hashable {
        package var name: String
        package var session: String
        package var startedAt: Timestamp?
        package var address: String?
        package var agent: String?
    }

    package var publishers: [Publisher] = []
    package var players: [Player] = []

    /// When something began that many milliseconds ago; `nil`: that cannot be, or it is not said.
    package static func start(_ milliseconds: Double?, before moment: Timestamp) -> Timestamp? {
        guard let milliseconds, (0...3.2e10).contains(milliseconds) else { return nil }
        return moment - .milliseconds(Int64(clamping: milliseconds))
    }
}

/// An answer that is not what it should be.
package struct NoStatistics: Error, CustomStringConvertible {
    package let description: String
}
