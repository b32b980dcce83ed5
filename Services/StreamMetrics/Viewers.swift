import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// Where somebody watches, as far as it is known.
struct ViewerDraft: Sendable {
    /// ISO 3166 alpha-2.
    let country: String?
    let device: Device

    init(country: String?, device: Device) { (self.country, self.device) = (country, device) }

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireNoNUL()
        self.country = try members.text("country", "must be two capital letters (ISO 3166)") { country in
            country.utf8.count == 2
                && country.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
        }
        self.device = try members.choice("device", of: Device.self) ?? .other
    }
}

/// Who watches what, as the players say it.
struct Viewers: Sendable {
    private let writer: EventWriter

    init(_ service: DomainService) { self.writer = service.writer }

    /// The new viewer's id.
    func join(_ stream: String, _ draft: ViewerDraft, tenant: String) async throws -> String {
        try await self.writer.write { mutation in
            let stream = try await Streams.get(stream, tenant, in: mutation)
            guard stream.status == .live else { throw Streams.conflict(stream, "Only a live stream can be watched") }
            return try await Self.join(stream, draft, at: .now, in: mutation)
        }
    }

    /// The same, in a mutation that does more and knows that the stream is live.
    static func join(
        _ stream: Stream, _ draft: ViewerDraft, at moment: Timestamp, in mutation: Mutation
    ) async throws -> String {
        let id = "viewer_\(ULID(at: moment).text.lowercased())"
        _ = try await mutation.query(
            """
            INSERT INTO viewers (id, tenant, stream, country, device, joined_at)
            VALUES (\(id), \(stream.tenant), \(stream.id), \(draft.country), \(draft.device.rawValue), \(moment))
            """)
        try await Audience.joined(stream.id, in: mutation)
        let joined = ViewerJoined(
            streamID: stream.id, viewerID: id, country: draft.country, device: draft.device.rawValue, joinedAt: moment)
        mutation.emit(
            Event(joined, tenant: stream.tenant, room: stream.id, publisher: .streamMetrics, time: moment))
        return id
    }

    func leave(_ stream: String, _ viewer: String, tenant: String) async throws {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            guard Stream.isID(stream), viewer.utf8.count < 100, !viewer.utf8.contains(0),
                let row = try await mutation.query(
                    """
                    UPDATE viewers SET left_at = \(moment)
                    WHERE id = \(viewer) AND stream = \(stream) AND tenant = \(tenant) AND left_at IS NULL RETURNING id, joined_at
                    """
                ).first
            else {
                throw APIFailure(
                    .notFound, "There is no such viewer", details: ["stream_id": String(stream.prefix(100))])
            }
            try await Self.left([row], stream, tenant, moment, in: mutation)
        }
    }

    /// One of them leaves, unless they have already.
    static func leave(_ stream: Stream, _ viewer: String, at moment: Timestamp, in mutation: Mutation) async throws {
        let rows = try await mutation.query(
            "UPDATE viewers SET left_at = \(moment) WHERE id = \(viewer) AND left_at IS NULL RETURNING id, joined_at")
        try await Self.left(rows, stream.id, stream.tenant, moment, in: mutation)
    }

    /// Sends everybody home who still watches.
    static func leave(_ stream: Stream, at moment: Timestamp, in mutation: Mutation) async throws {
        let rows = try await mutation.query(
            "UPDATE viewers SET left_at = \(moment) WHERE stream = \(stream.id) AND left_at IS NULL RETURNING id, joined_at"
        )
        try await Self.left(rows, stream.id, stream.tenant, moment, in: mutation)
    }

    private static func left(
        _ rows: [Row], _ stream: String, _ tenant: String, _ moment: Timestamp, in mutation: Mutation
    ) async throws {
        var watched = Duration.zero
        for row in rows {
            let joinedAt: Timestamp = try row.decode("joined_at")
            let watchTime = max(.zero, moment - joinedAt)
            watched += watchTime
            let left = ViewerLeft(
                streamID: stream, viewerID: try row.decode("id"), watchTime: watchTime, leftAt: moment)
            mutation.emit(Event(left, tenant: tenant, room: stream, publisher: .streamMetrics, time: moment))
        }
        if !rows.isEmpty { try await Audience.left(stream, count: rows.count, watched: watched, in: mutation) }
    }
}
