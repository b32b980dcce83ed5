import Bus
import Dialects
import Events
import Logging
import Metrics
import WebSockets

/// From one gateway to the next: a draining one says goodbye to its clients, and those that come with its tokens go on here.
extension EdgeHandler {
    // MARK: away from here

    func drain(_ heard: [ServiceName: Position]) {
        self.heardAtDrain = heard
        self.isDraining = true
        for client in self.clients.values { self.perform(client.session.drain(at: .now), for: client) }
    }

    func endDrain() {
        for client in self.clients.values { self.perform(client.session.drainEnded(at: .now), for: client) }
    }

    func handOver(_ handOver: HandOver, of client: Client) {
        // What it was told ends where it is being told from the logs.
        if client.catchUp?.isComplete == false {
            client.catchUp?.afterwards.append(.handOver(handOver))
            return
        }
        let positions = Dictionary(uniqueKeysWithValues: self.told.map { ($0.key.rawValue, $0.value) })
        let content = ReconnectTokens.Content(handOver: handOver, positions: positions)
        self.enquiries.ask(.handOver(content, client.id, self.post))
    }

    /// Up to where everything was given to whom it concerns.
    private var told: [ServiceName: Position] {
        // Nothing came of a publisher since the gateway heard where it stands: then that is where its clients are.
        self.heardAtDrain.merging(self.delivered) { heard, delivered in
            // A log that was replaced, and of which nothing has come yet.
            heard.epoch == delivered.epoch ? delivered : heard
        }
    }

    // MARK: here from elsewhere

    func resume(_ id: ConnectionID, with redeemed: ReconnectTokens.Redeemed?) {
        self.resume(id) { client, now in
            guard let redeemed else { return client.session.resumed(nil, at: now) }
            for principal in redeemed.content.handOver.principals {
                guard self.admit(principal, on: client) else { return [] }
            }
            client.comparesPositions = true
            client.catchUp = CatchUp(positions: redeemed.content.told, since: redeemed.issued, known: self.heard)
            return client.session.resumed(redeemed.content.handOver, at: now)
        }
        if let client = self.clients[id] { self.readOn(client) }
    }

    /// Up to where events have come here: those beyond will come by themselves.
    private var heard: [ServiceName: Position] {
        self.publishers.positions.merging(self.delivered) { heard, delivered in
            heard.epoch == delivered.epoch && heard.seq > delivered.seq ? heard : delivered
        }
    }

    /// Asks for the next page that a client lacks, or ends its catching up.
    func readOn(_ client: Client) {
        guard let catchUp = client.catchUp, !client.connection.isClosing else { return }
        if let next = catchUp.next {
            self.enquiries.ask(.replay(next.publisher, next.request, client.id, self.post))
        } else {
            self.release(client)
        }
    }

    func replayed(_ id: ConnectionID, _ publisher: ServiceName, _ page: ReplayPage?) {
        guard let client = self.clients[id], let catchUp = client.catchUp, !client.connection.isClosing else { return }
        guard let page else {
            guard ContinuousClock.now >= catchUp.deadline else {
                return client.connection.schedule(Timers.readOn, after: CatchUp.retryPause)
            }
            self.unreadLogs.increment()
            self.logger.warning(
                "A client goes on without what a publisher said meanwhile, whose log does not answer",
                metadata: ["publisher": "\(publisher.rawValue)", "client.id": "\(id)"])
            client.catchUp?.pass(publisher)
            return self.readOn(client)
        }
        let fresh = client.catchUp?.take(page.events, epoch: page.epoch, head: page.head, of: publisher) ?? []
        for event in fresh { self.tell(event, to: client) }
        self.readOn(client)
    }

    /// Gives one event of a log to one client, if it concerns it.
    private func tell(_ event: Event, to client: Client) {
        guard let kind = Catalogue.byType[event.type] else { return self.unknownTypes.increment() }
        let dialect = self.dialects[client.dialect]
        for projection in dialect.project(event) {
            let isWanted = projection.keys.contains { key in
                let filter = client.filters[FilterKey(dialect: client.dialect, tenant: event.tenant, key: key)]
                return filter?.grant.allows(kind, room: event.room) ?? false
            }
            guard isWanted else { continue }
            // No number: what became of it is known by its position.
            guard let frame = self.encode(projection, of: event, kind, 0, dialect: client.dialect) else { return }
            self.send(frame, of: event, kind, to: client, .now)
        }
    }

    /// All logs are read: what has happened since goes out, but for what was in the logs too.
    private func release(_ client: Client) {
        let now = ContinuousClock.now
        for held in client.catchUp?.release() ?? [] {
            guard client.catchUp?.includes(held.event.position, of: held.event.publisher) == false else { continue }
            self.send(held.frame, of: held.event, held.kind, to: client, now)
        }
        // The bus may still bring what was in a log already.
        client.connection.schedule(Timers.compared, after: Self.compareMax)
        let afterwards = client.catchUp?.afterwards ?? []
        client.catchUp?.afterwards = []
        self.perform(afterwards, for: client)
    }

    /// Whether an event is to wait, or was told already, because its client comes from another gateway.
    func isHeldBack(_ frame: FrameRange, of event: Event, _ kind: CatalogueEntry, for client: Client) -> Bool {
        guard let catchUp = client.catchUp else { return false }
        if catchUp.includes(event.position, of: event.publisher) { return true }
        guard !catchUp.isComplete else { return false }
        let held = CatchUp.Held(event: event, kind: kind, frame: frame)
        if client.catchUp?.hold(held) == false { client.close(.tooSlow, discardingQueue: true) }
        return true
    }
}
