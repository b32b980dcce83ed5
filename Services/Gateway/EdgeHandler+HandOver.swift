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
        // What came of a publisher up to there was posted before; where nothing came of it, that is where its clients are.
        self.delivered.merge(heard) { Self.later($1, $0) }
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
        // Another gateway, or a log, may have told it more than came here.
        let told = self.delivered.merging(client.catchUp?.positions ?? [:], uniquingKeysWith: Self.later)
        let positions = Dictionary(uniqueKeysWithValues: told.map { ($0.key.rawValue, $0.value) })
        let content = ReconnectTokens.Content(handOver: handOver, positions: positions, since: client.since)
        self.enquiries.ask(.handOver(content, client.id, self.post))
    }

    /// Returns the position of the two that is further in the log; the first if they are of two logs.
    private static func later(_ first: Position, _ second: Position) -> Position {
        guard first.epoch == second.epoch else { return first }
        return (first.term, first.seq) < (second.term, second.seq) ? second : first
    }

    // MARK: here from elsewhere

    func resume(_ id: ConnectionID, with redeemed: ReconnectTokens.Redeemed?) {
        self.resume(id) { client, now in
            guard let redeemed else { return client.session.resumed(nil, at: now) }
            for principal in redeemed.content.handOver.principals {
                guard self.admit(principal, on: client) else { return [] }
            }
            client.comparesPositions = true
            client.since = redeemed.content.since
            client.isResuming = true
            client.catchUp = CatchUp(told: redeemed.content.told, issued: redeemed.issued, here: self.here)
            return client.session.resumed(redeemed.content.handOver, at: now)
        }
        if let client = self.clients[id] { self.readOn(client) }
    }

    private var here: CatchUp.Here {
        let heard = ServiceName.publishers.filter { self.publishers.state(of: $0).isHeard }
        return CatchUp.Here(
            positions: self.publishers.positions.merging(self.delivered, uniquingKeysWith: Self.later),
            heard: Set(heard), listensSince: self.started)
    }

    /// Takes kept pages of the logs that a client lacks, and asks for others, while it has read enough of the last; or ends its
    /// catching up.
    func readOn(_ client: Client) {
        let most = CatchUp.waitingMax
        while let catchUp = client.catchUp, !catchUp.hasEnded, !client.connection.isClosing {
            guard !catchUp.isComplete else { return self.endCatchUp(of: client) }
            guard client.connection.queuedFrames <= most.frames, client.connection.queuedBytes <= most.bytes else {
                return client.connection.schedule(Timers.readOn, after: CatchUp.waitingPause)
            }
            guard let publisher = catchUp.due.first, let key = catchUp.key(of: publisher) else { return }
            if let page = self.pages[key], catchUp.accepts(page) {
                self.pagesShared.increment()
                self.take(page, for: client)
            } else {
                self.ask(for: key, client, catchUp)
            }
        }
    }

    private func ask(for key: ReplayPages.Key, _ client: Client, _ catchUp: CatchUp) {
        let now = ContinuousClock.now
        client.catchUp?.asks(key.publisher, at: now)
        guard self.pages.wait(client.id, for: key) else { return }
        let question = ReplayPages.Question(key: key, moment: catchUp.moment, askedAt: now)
        self.enquiries.ask(.replay(question, catchUp.request(for: key, at: .now), self.post))
    }

    /// Takes the answer to a question.
    /// - Parameter content: `nil` if the publisher does not answer.
    func replayed(_ question: ReplayPages.Question, _ content: ReplayPage?) {
        let page = content.map { LogPage($0, question) }
        if let page { self.pages.keep(page, as: question.key) }
        let ids = self.pages.answered(question.key)
        if page != nil { self.pagesRead.increment() }
        if page != nil, ids.count > 1 { self.pagesShared.increment(by: ids.count - 1) }
        guard !ids.isEmpty else { return }
        self.answers.append((question.key.publisher, page, ids[...]))
        // Those before it are at work already.
        if self.answers.count == 1 { self.continueAnswers() }
    }

    /// Gives the answers to those who wait for them: to some each turn, since there may be thousands.
    func continueAnswers() {
        guard let (publisher, page, ids) = self.answers.first else { return }
        let failed = ids.prefix(Self.answersPerTurn).count { !self.answer($0, publisher, page) }
        if failed > 0 {
            self.logger.warning(
                "The log of a publisher does not answer; clients that come from another gateway are closed and have to reload",
                metadata: ["publisher": "\(publisher.rawValue)", "clients": "\(failed)"])
        }
        let rest = ids.dropFirst(Self.answersPerTurn)
        if rest.isEmpty { self.answers.removeFirst() } else { self.answers[0].ids = rest }
        if self.answers.isEmpty { self.waitedFrames = [:] } else { self.post(.answersDue) }
    }

    /// Returns `false` if the client ends, since what it lacks cannot be read.
    private func answer(_ id: ConnectionID, _ publisher: ServiceName, _ page: LogPage?) -> Bool {
        guard let client = self.clients[id], let catchUp = client.catchUp, !client.connection.isClosing else {
            return true
        }
        if let page, catchUp.accepts(page) {
            self.take(page, for: client)
        } else if client.catchUp?.recordUnanswered(publisher, page, at: .now) == true {
            guard page != nil else {
                client.connection.schedule(Timers.readOn, after: CatchUp.retryPause)
                return true
            }
        } else {
            self.giveUp(publisher, for: client)
        }
        self.readOn(client)
        return client.closing != CatchUp.failed
    }

    private func take(_ page: LogPage, for client: Client) {
        guard let step = client.catchUp?.take(page, at: .now) else { return }
        let publisher = page.question.key.publisher
        guard !step.isIncomplete || !self.concerns(publisher, client) else {
            self.unreadLogs.increment()
            return client.close(CatchUp.failed)
        }
        let skew = self.publishers.state(of: publisher).skew
        let (events, dialect) = (page.content.events, client.dialect)
        for place in events.indices.suffix(step.fresh) {
            let frames = page.frames(of: place, dialect: dialect) { self.encode($0, dialect: dialect) }
            self.tell(frames, of: events[place], skew, to: client)
        }
        for event in step.waited {
            self.tell(self.waitedFrames(of: event, dialect: dialect), of: event, skew, to: client)
        }
    }

    /// Returns the frames of an event that waited for a log: encoded once, since those who come together wait for the same.
    private func waitedFrames(of event: Event, dialect: Int) -> [LogPage.Frame] {
        let key = WaitedEvent(id: event.id, dialect: dialect)
        if let frames = self.waitedFrames[key] { return frames }
        if self.waitedFrames.count >= Self.waitedFramesMax { self.waitedFrames = [:] }
        let frames = self.encode(event, dialect: dialect)
        self.waitedFrames[key] = frames
        return frames
    }

    /// An event as clients of one dialect wait for it.
    struct WaitedEvent: Hashable {
        let id: ULID
        let dialect: Int
    }

    /// Ends the reading of a log that does not answer. A client that may so have missed something is closed.
    private func giveUp(_ publisher: ServiceName, for client: Client) {
        guard !self.concerns(publisher, client) else {
            self.unreadLogs.increment()
            return client.close(CatchUp.failed)
        }
        let skew = self.publishers.state(of: publisher).skew
        for event in client.catchUp?.pass(publisher) ?? [] {
            self.tell(self.waitedFrames(of: event, dialect: client.dialect), of: event, skew, to: client)
        }
    }

    /// Returns whether a client asks for durable events of that publisher.
    private func concerns(_ publisher: ServiceName, _ client: Client) -> Bool {
        client.filters.keys.contains { filter in
            self.dialects[client.dialect].entries(answeringTo: filter.key).contains {
                $0.durability == .durable && $0.publishers.contains(publisher)
            }
        }
    }

    private func encode(_ event: Event, dialect: Int) -> [LogPage.Frame] {
        guard let kind = Catalogue.byType[event.type] else {
            self.unknownTypes.increment()
            return []
        }
        return self.dialects[dialect].project(event).compactMap { projection in
            // No number: what became of it is known by its position.
            self.encode(projection, of: event, kind, 0, dialect: dialect).map {
                .init(keys: projection.keys, range: $0)
            }
        }
    }

    /// Gives one event to one client that catches up, if it concerns it and did when it happened.
    private func tell(_ frames: [LogPage.Frame], of event: Event, _ skew: Duration?, to client: Client) {
        guard let kind = Catalogue.byType[event.type] else { return }
        let moment = event.moment(skew: skew)
        for frame in frames {
            let isWanted = frame.keys.contains { key in
                let filter = client.filters[FilterKey(dialect: client.dialect, tenant: event.tenant, key: key)]
                return filter.map { $0.wasThere(at: moment) && $0.grant.allows(kind, room: event.room) } ?? false
            }
            // There is no bound on what waits: pages are asked for one by one.
            if isWanted { self.put(frame.range, of: event, kind, to: client) }
        }
    }

    private func endCatchUp(of client: Client) {
        client.catchUp?.hasEnded = true
        // The bus may still bring what was in a log already.
        client.connection.schedule(Timers.compared, after: Self.compareMax)
        let afterwards = client.catchUp?.afterwards ?? []
        client.catchUp?.afterwards = []
        self.perform(afterwards, for: client)
    }
}

extension Event {
    /// When it happened, by this process's clock.
    /// - Parameter skew: how far the publisher's clock is ahead.
    func moment(skew: Duration?) -> Timestamp { self.id.time - (skew ?? .zero) }
}
