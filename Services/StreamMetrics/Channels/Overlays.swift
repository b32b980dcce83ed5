import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The channels' overlays, and what is said to them (contract astro §5, §10).
struct Overlays: Sendable {
    private let database: Database
    private let writer: EventWriter

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
    }

    func create(_ draft: OverlayDraft, in channel: String) async throws -> Overlay {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let overlay = Overlay(draft, channel: channel, at: moment)
            _ = try await mutation.query(
                """
                INSERT INTO overlays
                    (id, tenant, type, name, settings, preview, widgets, mobile, campaign, favorite, created_at, updated_at)
                VALUES (\(overlay.id), \(channel), \(draft.type), \(draft.name), \(String(decoding: draft.settings.bytes, as: UTF8.self))::json,
                    \(draft.preview), \(String(decoding: draft.widgets.bytes, as: UTF8.self))::json, \(draft.isMobile), \(draft.isCampaign), \(draft.isFavorite), \(moment), \(moment))
                """)
            mutation.emit(Self.event("channel.overlay.update", overlay.json, channel, moment))
            return overlay
        }
    }

    func change(_ id: String, _ body: [String: JSON], in channel: String) async throws -> Overlay {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            var overlay = try Self.overlay(try await mutation.query(Self.query(id, channel)))
            try overlay.draft.change(body)
            overlay.updatedAt = moment
            let draft = overlay.draft
            _ = try await mutation.query(
                """
                UPDATE overlays SET type = \(draft.type), name = \(draft.name), settings = \(String(decoding: draft.settings.bytes, as: UTF8.self))::json,
                    preview = \(draft.preview), widgets = \(String(decoding: draft.widgets.bytes, as: UTF8.self))::json, mobile = \(draft.isMobile),
                    campaign = \(draft.isCampaign), favorite = \(draft.isFavorite), updated_at = \(moment)
                WHERE id = \(id)
                """)
            mutation.emit(Self.event("channel.overlay.update", overlay.json, channel, moment))
            return overlay
        }
    }

    func delete(_ id: String, in channel: String) async throws {
        try await self.writer.write { mutation in
            _ = try Self.overlay(try await mutation.query(Self.query(id, channel)))
            _ = try await mutation.query("DELETE FROM overlays WHERE id = \(id)")
        }
    }

    func get(_ id: String, in channel: String) async throws -> Overlay {
        try Self.overlay(try await self.database.query(Self.query(id, channel)))
    }

    /// Newest first and without their widgets, and how many there are.
    /// - Parameters:
    ///   - type: only of it; `nil`: of every type.
    ///   - search: what stands somewhere in the name, in whatever case.
    func list(
        in channel: String, type: String?, search: String, limit: Int, offset: Int
    ) async throws -> (overlays: [Overlay], total: Int) {
        let condition: Query =
            """
            tenant = \(channel) AND (\(type)::text IS NULL OR type = \(type)::text)
                AND strpos(lower(name), lower(\(search)::text)) > 0
            """
        let rows = try await self.database.query(
            "SELECT \(unescaped: Self.summary) FROM overlays WHERE \(condition) ORDER BY seq DESC LIMIT \(limit) OFFSET \(offset)"
        )
        let count = try await self.database.query("SELECT count(*) AS total FROM overlays WHERE \(condition)")
        return (
            try rows.map { row throws(DatabaseError) in try Overlay(row) }, try count.first?.decode("total") ?? 0
        )
    }

    // MARK: what is said to them

    func act(_ action: OverlayAction, in channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let said: JSON = ["action": .string(action.rawValue)]
            mutation.emit(Self.event("channel.overlay.action", said, channel, .now))
            return said
        }
    }

    func broadcast(_ broadcast: OverlayBroadcast, in channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            if broadcast.target != OverlayBroadcast.global {
                _ = try Self.overlay(try await mutation.query(Self.query(broadcast.target, channel)))
            }
            mutation.emit(Self.event("channel.overlay.broadcast", broadcast.json, channel, .now))
            return broadcast.json
        }
    }

    private static let summary = """
        id, tenant, type, name, settings, preview, '[]' AS widgets, mobile, campaign, favorite, created_at, updated_at
        """

    private static func query(_ id: String, _ channel: String) -> Query {
        "SELECT * FROM overlays WHERE id = \(id.filter { $0 != "\0" }) AND tenant = \(channel)"
    }

    private static func overlay(_ rows: [Row]) throws -> Overlay {
        guard let row = rows.first else { throw APIFailure(.notFound, "There is no such overlay") }
        return try Overlay(row)
    }

    private static func event(_ type: EventType, _ data: JSON, _ channel: String, _ moment: Timestamp) -> Event {
        Event(type, data, tenant: channel, room: channel, publisher: .streamMetrics, time: moment)
    }
}
