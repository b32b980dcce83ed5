import Dialects
import Events
import Metrics
import WebSockets

/// Events to whom they concern.
extension EdgeHandler {
    func deliver(_ events: [Event], _ now: ContinuousClock.Instant) {
        for event in events {
            if let position = event.position { self.delivered[event.publisher] = position }
            guard let kind = Catalogue.byType[event.type] else {
                self.unknownTypes.increment()
                continue
            }
            let number = self.history.note(event, kind)
            for (place, dialect) in self.dialects.enumerated() where self.clientsByDialect[place] > 0 {
                for projection in dialect.project(event) {
                    self.give(projection, of: event, kind, number, dialect: place, now)
                }
            }
        }
    }

    /// Gives one projection to everybody who holds one of its keys and may see the event.
    private func give(
        _ projection: Projection, of event: Event, _ kind: CatalogueEntry, _ number: UInt64, dialect: Int,
        _ now: ContinuousClock.Instant
    ) {
        self.projection += 1
        var frame: FrameRange?
        var count = 0
        for key in projection.keys {
            guard let listeners = self.index[FilterKey(dialect: dialect, tenant: event.tenant, key: key)] else {
                continue
            }
            for (client, grant) in listeners.entries {
                guard client.lastProjection != self.projection, grant.allows(kind, room: event.room) else { continue }
                client.lastProjection = self.projection
                if client.comparesPositions, client.catchUp?.holdsBack(event) == true { continue }
                guard let range = frame ?? self.encode(projection, of: event, kind, number, dialect: dialect) else {
                    return
                }
                frame = range
                guard !client.connection.isClosing, self.slowClients.takesMore(client, now) else {
                    client.closedAt = client.closedAt ?? number - 1
                    continue
                }
                self.put(range, of: event, kind, to: client)
                count += 1
            }
        }
        if count > 0 { self.deliveries[dialect].increment(by: count) }
    }

    /// `nil`: clients of that dialect do not take it.
    func encode(
        _ projection: Projection, of event: Event, _ kind: CatalogueEntry, _ number: UInt64, dialect: Int
    ) -> FrameRange? {
        let bytes = projection.render()
        if let max = self.dialects[dialect].profile.eventBytesMax, bytes.count > max {
            self.tooLarge.increment()
            self.history.noteTooLarge(number, for: dialect)
            return nil
        }
        let key = event.position == nil ? Self.conflationKey(of: event, kind, projection, dialect: dialect) : nil
        let tag = FrameTag(number: number, conflationKey: key, dropRank: projection.dropRank)
        return self.loop?.append(bytes, tag: tag)
    }

    /// The same for measurements of the same thing. A hash of 64 bits with a random seed: two things never meet in practice.
    private static func conflationKey(
        of event: Event, _ kind: CatalogueEntry, _ projection: Projection, dialect: Int
    ) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(dialect)
        hasher.combine(projection.keys.first)
        hasher.combine(event.tenant)
        hasher.combine(event.room)
        if let part = kind.part { hasher.combine(JSON(parsing: event.data)?[part]) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    func put(_ frame: FrameRange, of event: Event, _ kind: CatalogueEntry, to client: Client) {
        client.connection.send(frame)
        client.delivered += 1
        client.lastDelivery = Client.Delivery(id: event.id, kind: kind.index, at: event.time)
    }
}
