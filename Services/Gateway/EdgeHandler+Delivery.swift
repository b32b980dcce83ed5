import Bus
import Dialects
import Events
import Metrics
import WebSockets

/// Events to whom they concern.
extension EdgeHandler {
    /// Dialect by dialect, so that what a client is sent of a turn lies together in the log.
    /// - Parameter isRepaired: they were missed when they happened; only those get one who listened to it then.
    func deliver(_ events: [Event], isRepaired: Bool, _ now: ContinuousClock.Instant) {
        let events = events.compactMap { self.note($0, isRepaired: isRepaired) }
        let moment = Timestamp.now
        for (place, dialect) in self.dialects.enumerated() where self.clientsByDialect[place] > 0 {
            var bundle: Bundle?
            for event in events {
                for projection in dialect.project(event.event) {
                    if bundle?.take(projection, of: event) == true { continue }
                    if let bundle { self.give(bundle, dialect: place, now, moment) }
                    bundle = Bundle(projection, of: event)
                }
            }
            if let bundle { self.give(bundle, dialect: place, now, moment) }
        }
    }

    private func note(_ event: Event, isRepaired: Bool) -> Bundle.Numbered? {
        if let position = event.position { self.delivered[event.publisher] = position }
        guard let kind = Catalogue.byType[event.type] else {
            self.unknownTypes.increment()
            return nil
        }
        let moment = isRepaired ? event.moment(skew: self.publishers.state(of: event.publisher).skew) : nil
        return Bundle.Numbered(
            event: event, kind: kind, number: self.history.note(event, kind, moment: moment), moment: moment)
    }

    /// Gives a bundle to everybody who holds one of its keys and may see its events.
    /// - Parameter moment: the same as `now`, by the clock that events are stamped with.
    private func give(_ bundle: Bundle, dialect: Int, _ now: ContinuousClock.Instant, _ moment: Timestamp) {
        self.bundle += 1
        let isRepaired = bundle.events[0].moment != nil
        var frames: Frames?
        var count = 0
        for key in bundle.keys {
            guard let listeners = self.index[FilterKey(dialect: dialect, tenant: bundle.tenant, key: key)] else {
                continue
            }
            for (client, grant) in listeners.entries {
                guard client.lastBundle != self.bundle, grant.allows(bundle.kind, room: bundle.room) else { continue }
                client.lastBundle = self.bundle
                let encoded = frames ?? self.encode(bundle, dialect: dialect)
                frames = encoded
                guard let newest = encoded.single.last else { return }
                if isRepaired {
                    count += self.giveNew(encoded, to: client, by: self.earliest(bundle, client), now)
                } else if client.comparesPositions {
                    count += self.giveNew(encoded, to: client, by: nil, now)
                } else if self.takesMore(client, before: encoded.single[0].number, now) {
                    for range in encoded.joined { client.connection.send(range) }
                    client.noteDelivery(of: encoded.single.count, newest.event, newest.kind)
                    count += encoded.single.count
                }
            }
        }
        guard count > 0 else { return }
        self.deliveries[dialect].increment(by: count)
        // The oldest of a bundle, once for all who got it.
        self.ages[dialect].recordMilliseconds(
            max(0, (moment - bundle.events[0].event.time).milliseconds))
    }

    /// Returns the oldest of a client's filters that a bundle is for.
    private func earliest(_ bundle: Bundle, _ client: Client) -> Client.Filter? {
        bundle.keys.compactMap { key in
            client.filters[FilterKey(dialect: client.dialect, tenant: bundle.tenant, key: key)]
        }
        .filter { $0.grant.allows(bundle.kind, room: bundle.room) }.min { $0.made < $1.made }
    }

    /// Gives a client what it has not been told, is not to be told later, and has listened to when it happened.
    /// - Parameter filter: by which it listens, for events that come late.
    private func giveNew(
        _ frames: Frames, to client: Client, by filter: Client.Filter?, _ now: ContinuousClock.Instant
    ) -> Int {
        var count = 0
        for (range, numbered) in zip(frames.ranges, frames.single) {
            if let filter, let moment = numbered.moment, !filter.wasThere(at: moment) { continue }
            if client.comparesPositions, client.catchUp?.holdsBack(numbered.event) == true { continue }
            guard self.takesMore(client, before: numbered.number, now) else { break }
            self.put(range, of: numbered.event, numbered.kind, to: client)
            count += 1
        }
        return count
    }

    private func takesMore(_ client: Client, before number: UInt64, _ now: ContinuousClock.Instant) -> Bool {
        if !client.connection.isClosing, self.slowClients.takesMore(client, now) { return true }
        client.closedAt = client.closedAt ?? number - 1
        return false
    }

    /// A bundle in the loop's log.
    private final class Frames {
        /// One by one; those that clients of the dialect do not take are missing.
        var single: [Bundle.Numbered] = []
        var ranges: [FrameRange] = []
        /// The same, as few ranges as can be.
        var joined: [FrameRange] = []
    }

    private func encode(_ bundle: Bundle, dialect: Int) -> Frames {
        let frames = Frames()
        for (numbered, projection) in zip(bundle.events, bundle.projections) {
            let (event, kind, number) = (numbered.event, numbered.kind, numbered.number)
            guard let range = self.encode(projection, of: event, kind, number, dialect: dialect) else { continue }
            frames.single.append(numbered)
            frames.ranges.append(range)
            if let joined = frames.joined.last?.joined(with: range) {
                frames.joined[frames.joined.count - 1] = joined
            } else {
                frames.joined.append(range)
            }
        }
        return frames
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
        client.noteDelivery(of: 1, event, kind)
    }
}
