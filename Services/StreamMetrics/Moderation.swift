import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What a moderator decides on a chat line.
struct ModerationDraft: Sendable {
    enum Action: String, Sendable, CaseIterable {
        case block, flag, allow

        var outcome: Moderation {
            switch self {
            case .block: .blocked
            case .flag: .flagged
            case .allow: .allowed
            }
        }
    }

    let action: Action
    let reason: String?

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireOnly(["action", "reason"], "is not known here")
        self.action = try members.require("action", try members.choice("action", of: Action.self))
        self.reason = try members.text("reason", 0...500)
    }
}

enum Moderation: String, Sendable, CaseIterable {
    /// Nobody sees it in the history any more, but moderators.
    case blocked
    /// Somebody is to look at it.
    case flagged
    case allowed
}

extension Chat {
    /// Decides on a line; the last decision holds. Throws 404.
    func moderate(
        _ message: String, in stream: String, _ draft: ModerationDraft, by moderator: Principal
    ) async throws -> JSON {
        guard Self.isID(message) else { throw Self.notFound(message) }
        let moment = Timestamp.now
        return try await self.writer.write { mutation in
            let stream = try await Streams.get(stream, moderator.tenant, in: mutation)
            let rows = try await mutation.query(
                """
                UPDATE chat_messages SET moderation = \(draft.action.outcome.rawValue), moderated_at = \(moment),
                    moderated_by = \(moderator.subject), moderation_reason = \(draft.reason)
                WHERE id = \(message) AND stream = \(stream.id) RETURNING id
                """)
            guard !rows.isEmpty else { throw Self.notFound(message) }
            return [
                "stream_id": .string(stream.id), "message_id": .string(message),
                "action": .string(draft.action.rawValue), "moderation": .string(draft.action.outcome.rawValue),
                "reason": JSON(draft.reason), "moderated_by": .string(moderator.subject),
                "moderated_at": .string(moment.iso8601),
            ]
        }
    }

    private static func notFound(_ message: String) -> APIFailure {
        APIFailure(.notFound, "There is no such message", details: ["message_id": String(message.prefix(100))])
    }
}
