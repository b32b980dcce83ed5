import Events

/// One Astro connection: its subscriptions, each with the credential that it was made with.
struct AstroSession: DialectSession {
    private static let subscriptionsMax = 256
    private static let authorizationMax = Duration.seconds(5)

    private let reconnectToken: String?
    private var clientID = ""
    private var subscriptions: [Subscription: Principal] = [:]
    /// Channels that the client calls by a name: their ids, by name in lower case.
    private var names: [String: String] = [:]
    /// The subscribe whose credential is being verified.
    private var pending: Pending?
    private var isResuming = false
    private var drain = Drain.no
    private(set) var isLoggedIn = false
    private var flood = AstroFlood()

    /// A draining gateway hands the session over when nothing is under way that belongs to it.
    private enum Drain {
        case no, due, handedOver
    }

    init(reconnectToken: String?) { self.reconnectToken = reconnectToken }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        if let token = self.reconnectToken {
            self.isResuming = true
            return [.resume(token)]
        }
        self.clientID = ULID(at: now).text
        return [self.welcome(at: now)]
    }

    private func welcome(at now: Timestamp) -> SessionAction {
        let data: JSON = ["message": "Welcome to Astro", "client_id": .string(self.clientID)]
        return AstroReply.send(type: "welcome", data, at: now)
    }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] {
        switch AstroCommand.parse(text) {
        case .failure(let problem):
            return [AstroReply.error(problem.error, problem.message, nonce: problem.nonce, at: now)]
        case .success(.subscribe(let request)) where self.drain == .handedOver:
            return [Self.goingAway(nonce: request.nonce, at: now)]
        case .success(.unsubscribe(_, _, let nonce)) where self.drain == .handedOver:
            return [Self.goingAway(nonce: nonce, at: now)]
        case .success(.subscribe(let request)):
            let deadline = now + Self.authorizationMax
            self.pending = Pending(request: request, deadline: deadline)
            return [.wake(at: self.nextWake ?? deadline), .verify(request.credential)]
        case .success(.unsubscribe(let topic, let room, let nonce)):
            return self.unsubscribe(topic: topic, room: room, nonce: nonce, at: now)
        }
    }

    /// Binary frames are ignored, says the protocol.
    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] { [] }

    mutating func exceededRate(at now: Timestamp) -> [SessionAction] {
        switch self.flood.dropped(at: now) {
        case .answer: [AstroReply.error("rate_limit_exceeded", "too many commands", nonce: nil, at: now)]
        case .ignore: []
        case .close: [.close(Closing(1008, "too many messages"))]
        }
    }

    mutating func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp) -> [SessionAction] {
        // Without one, its deadline has passed and was answered.
        guard let pending = self.pending, pending.principal == nil else { return [] }
        self.pending = nil
        return self.answer(pending.request, result, at: now) + self.handOverIfDue()
    }

    private mutating func answer(
        _ request: AstroCommand.Subscribe, _ result: Result<Principal, VerificationFailure>, at now: Timestamp
    ) -> [SessionAction] {
        let nonce = request.nonce
        switch result {
        case .failure(.invalid):
            return [AstroReply.error("err_unauthorized", "the token is not valid", nonce: nonce, at: now)]
        case .failure(.limited(let seconds)):
            let text = "too many wrong tokens"
            return [
                AstroReply.error(
                    "rate_limit_exceeded", text, details: ["retry_after": .integer(Int64(seconds))], nonce: nil,
                    at: now)
            ]
        case .failure(.unavailable): return [Self.deadlineExceeded(nonce: nonce, at: now)]
        case .success(let principal):
            self.isLoggedIn = true
            guard request.isNameOfChannel(for: principal) else {
                return self.subscribe(request, as: principal, at: now)
            }
            self.pending = Pending(request: request, principal: principal, deadline: now + Self.authorizationMax)
            return [.call(CommandCall(FindChannel(id: principal.tenant)))]
        }
    }

    mutating func called(_ result: Result<[UInt8], CommandFailure>, at now: Timestamp) -> [SessionAction] {
        guard let pending = self.pending, let principal = pending.principal else { return [] }
        self.pending = nil
        var actions: [SessionAction]
        switch result {
        case .failure: actions = [Self.deadlineExceeded(nonce: pending.request.nonce, at: now)]
        case .success(let answer):
            // `try?`: an answer that cannot be read names no channel.
            let name = (try? JSON.decode(FindChannel.Answer.self, from: answer))?.name
            let isOwn = name?.lowercased() == pending.request.room.lowercased()
            if let name, isOwn, self.names.count < Self.subscriptionsMax {
                self.names[name.lowercased()] = principal.tenant
            }
            actions = self.subscribe(isOwn ? pending.request.inOwnChannel : pending.request, as: principal, at: now)
        }
        return actions + self.handOverIfDue()
    }

    mutating func woke(at now: Timestamp) -> [SessionAction] {
        var actions: [SessionAction] = []
        if let pending = self.pending, pending.deadline <= now {
            self.pending = nil
            actions.append(Self.deadlineExceeded(nonce: pending.request.nonce, at: now))
        }
        let expired = self.subscriptions.filter { $0.value.isExpired(at: now) }.keys.sorted { $0.key < $1.key }
        for subscription in expired {
            self.subscriptions[subscription] = nil
            actions += [
                .unsubscribe([subscription.key], tenant: subscription.tenant), Self.expired(subscription, at: now),
            ]
        }
        if let next = self.nextWake { actions.append(.wake(at: next)) }
        return actions + self.handOverIfDue()
    }

    // MARK: from one gateway to the next (contract §7)

    mutating func drain(at now: Timestamp) -> [SessionAction] {
        self.drain = .due
        return self.handOverIfDue()
    }

    private mutating func handOverIfDue() -> [SessionAction] {
        guard self.drain == .due, !self.isResuming, self.pending == nil else { return [] }
        self.drain = .handedOver
        let handOver = AstroHandOver(clientID: self.clientID, subscriptions: self.subscriptions, names: self.names)
        return [.handOver(handOver.value)]
    }

    mutating func handedOver(_ token: String?, at now: Timestamp) -> [SessionAction] {
        guard let token else { return [.close(.goingAway)] }
        let data: JSON = ["message": "The server is shutting down.", "reconnect_token": .string(token)]
        return [AstroReply.send(type: "reconnect", data, at: now)]
    }

    mutating func resumed(_ value: HandOver?, at now: Timestamp) -> [SessionAction] {
        self.isResuming = false
        guard let handOver = value.flatMap(AstroHandOver.init) else {
            return [.close(Closing(1008, "invalid reconnect token"))]
        }
        self.isLoggedIn = true
        self.clientID = handOver.clientID
        self.subscriptions = handOver.subscriptions.filter { !$0.value.isExpired(at: now) }
        self.names = handOver.names
        var actions = [self.welcome(at: now)]
        for (subscription, principal) in self.subscriptions.sorted(by: { $0.key.key < $1.key.key }) {
            actions.append(.subscribe([subscription.key], as: principal))
        }
        // It has ended on the way.
        for ended in handOver.subscriptions.filter({ $0.value.isExpired(at: now) }).keys.sorted(by: { $0.key < $1.key })
        {
            actions.append(Self.expired(ended, at: now))
        }
        if let next = self.nextWake { actions.append(.wake(at: next)) }
        return actions + self.handOverIfDue()
    }

    private mutating func subscribe(
        _ request: AstroCommand.Subscribe, as principal: Principal, at now: Timestamp
    ) -> [SessionAction] {
        guard let room = request.canonicalRoom(for: principal) else {
            let text = "the token grants no access to this topic and room"
            return [AstroReply.error("err_unauthorized", text, nonce: request.nonce, at: now)]
        }
        let subscription = Subscription(topic: request.topic.type.name, room: room, tenant: principal.tenant)
        guard self.subscriptions[subscription] != nil || self.subscriptions.count < Self.subscriptionsMax else {
            let text = "limit exceeded: \(Self.subscriptionsMax) subscriptions"
            return [AstroReply.error("err_bad_request", text, nonce: request.nonce, at: now)]
        }
        self.subscriptions[subscription] = principal
        var actions = [
            AstroReply.success(
                "successfully subscribed to topic", topic: subscription.topic, room: room, nonce: request.nonce, at: now
            ),
            .subscribe([subscription.key], as: principal),
        ]
        if let next = self.nextWake { actions.append(.wake(at: next)) }
        return actions
    }

    private mutating func unsubscribe(topic: String, room: String, nonce: String?, at now: Timestamp) -> [SessionAction]
    {
        let dropped = self.subscriptions.filter { held, _ in
            held.topic == topic
                && (room.isEmpty || held.room == room || held.room == self.names[room.lowercased()])
        }.keys.sorted { $0.key < $1.key }
        for subscription in dropped { self.subscriptions[subscription] = nil }
        let canonical = room.isEmpty ? "" : dropped.first?.room ?? room
        return dropped.map { .unsubscribe([$0.key], tenant: $0.tenant) } + [
            AstroReply.success(
                "successfully unsubscribed from topic", topic: topic, room: canonical, nonce: nonce, at: now)
        ]
    }

    private var nextWake: Timestamp? {
        (self.subscriptions.values.compactMap(\.expires) + [self.pending?.deadline].compactMap(\.self)).min()
    }

    /// What it asks for now would not be known to the gateway that it goes on at.
    private static func goingAway(nonce: String?, at now: Timestamp) -> SessionAction {
        AstroReply.error(
            "err_internal_error", "the server is shutting down: use the reconnect token", nonce: nonce, at: now)
    }

    private static func expired(_ subscription: Subscription, at now: Timestamp) -> SessionAction {
        let details: JSON = ["topic": .string(subscription.topic), "room": .string(subscription.room)]
        return AstroReply.error("err_unauthorized", "the token has expired", details: details, nonce: nil, at: now)
    }

    private static func deadlineExceeded(nonce: String?, at now: Timestamp) -> SessionAction {
        AstroReply.error("err_deadline_exceeded", "authorization timed out", nonce: nonce, at: now)
    }

    struct Subscription: Hashable {
        let topic: String
        let room: String
        /// Tokens of several channels may meet on one connection.
        let tenant: String

        var key: String { filterKey(self.topic, self.room) }
    }

    private struct Pending {
        let request: AstroCommand.Subscribe
        /// Whose it is, when only the channel's name is still to be found.
        var principal: Principal?
        let deadline: Timestamp
    }
}

extension Principal {
    func isExpired(at now: Timestamp) -> Bool { self.expires.map { $0 <= now } ?? false }
}

extension AstroCommand.Subscribe {
    /// The same, for the channel of whoever asks.
    fileprivate var inOwnChannel: Self {
        Self(topic: self.topic, room: "", credential: self.credential, nonce: self.nonce)
    }

    /// Whether only the room may be in the way, and may be the channel's name.
    fileprivate func isNameOfChannel(for principal: Principal) -> Bool {
        self.topic.room == .channel && principal.maySee(self.topic) && self.canonicalRoom(for: principal) == nil
    }

    /// The room's id, or `nil` if this principal may not have the topic there. No room and its tenant mean its channel. Other rooms are the entities of a topic that has such, and not other channels.
    fileprivate func canonicalRoom(for principal: Principal) -> String? {
        guard principal.maySee(self.topic) else { return nil }
        if self.room.isEmpty || self.room == principal.tenant {
            return principal.tenant
        }
        guard self.topic.room != .channel, self.topic.room != .none else { return nil }
        return principal.maySee(self.topic, room: self.room) ? self.room : nil
    }
}
