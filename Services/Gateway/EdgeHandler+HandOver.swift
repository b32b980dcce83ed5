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
        var told = self.told
        // Another gateway, or a log, may have told it more than came here.
        for (publisher, position) in client.catchUp?.positions ?? [:] {
            guard let here = told[publisher], here.epoch != position.epoch || here.seq >= position.seq else {
                told[publisher] = position
                continue
            }
        }
        let positions = Dictionary(uniqueKeysWithValues: told.map { ($0.key.rawValue, $0.value) })
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

    /// Asks for the next page that a client lacks when it has read enough of the last, or ends its catching up.
    func readOn(_ client: Client) {
        let connection = client.connection
        guard let catchUp = client.catchUp, !connection.isClosing else { return }
        guard let next = catchUp.next else { return self.endCatchUp(of: client) }
        let most = CatchUp.waitingMax
        guard connection.queuedFrames <= most.frames, connection.queuedBytes <= most.bytes else {
            return connection.schedule(Timers.readOn, after: CatchUp.waitingPause)
        }
        self.enquiries.ask(.replay(next.publisher, next.request, client.id, self.post))
    }

    func replayed(_ id: ConnectionID, _ publisher: ServiceName, _ page: ReplayPage?) {
        guard let client = self.clients[id], let catchUp = client.catchUp, !client.connection.isClosing else { return }
        if let page {
            let events = client.catchUp?.take(page.events, epoch: page.epoch, head: page.head, of: publisher) ?? []
            for event in events { self.tell(event, to: client) }
        } else if ContinuousClock.now < catchUp.deadline {
            return client.connection.schedule(Timers.readOn, after: CatchUp.retryPause)
        } else {
            self.unreadLogs.increment()
            self.logger.warning(
                "A client goes on without what a publisher said meanwhile, whose log does not answer",
                metadata: ["publisher": "\(publisher.rawValue)", "client.id": "\(id)"])
            for event in client.catchUp?.pass(publisher) ?? [] { self.tell(event, to: client) }
        }
        self.readOn(client)
    }

    /// Gives one event to one client that catches up, if it concerns it now. What is subscribed to meanwhile may so get events from
    /// before it: to tell those apart from what waits would risk losing some.
    private func tell(_ event: Event, to client: Client) {
        guard let kind = Catalogue.byType[event.type] else { return self.unknownTypes.increment() }
        for projection in self.dialects[client.dialect].project(event) {
            let isWanted = projection.keys.contains { key in
                let key = FilterKey(dialect: client.dialect, tenant: event.tenant, key: key)
                return client.filters[key]?.grant.allows(kind, room: event.room) ?? false
            }
            guard isWanted else { continue }
            // No number: what became of it is known by its position. No bound on what waits either: pages are asked for one by one.
            guard let frame = self.encode(projection, of: event, kind, 0, dialect: client.dialect) else { continue }
            self.put(frame, of: event, kind, to: client)
        }
    }

    private func endCatchUp(of client: Client) {
        // The bus may still bring what was in a log already.
        client.connection.schedule(Timers.compared, after: Self.compareMax)
        let afterwards = client.catchUp?.afterwards ?? []
        client.catchUp?.afterwards = []
        self.perform(afterwards, for: client)
    }
}
