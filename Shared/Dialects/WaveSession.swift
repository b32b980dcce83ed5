import Events

/// One WAVE connection: the key, the streams it listens to, and the plan's message rate.
struct WaveSession: DialectSession {
    private static let streamsMax = 100
    /// A client judges the pong by a timer of 5,000 ms that starts with its ping, and takes an instant answer for a late one.
    private static let pongDelay = Duration.milliseconds(50)

    /// What it was opened with, until it is known whose it is.
    private var key: String
    private var principal: Principal?
    private var rate: RateLimiter?
    /// The events asked for, by stream.
    private var streams: [String: [String]] = [:]
    /// The request that a command was sent for.
    private var pending: WaveRequest?

    init(key: String) { self.key = key }

    var isLoggedIn: Bool { self.principal != nil }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        self.key.isEmpty ? Self.invalidAuth : [.verify(Credential(self.key))]
    }

    mutating func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp) -> [SessionAction] {
        switch result {
        case .failure(.invalid): return Self.invalidAuth
        case .failure(.limited): return [.send(WaveReply.rateLimited), .close(.rateLimited)]
        case .failure(.unavailable):
            return [
                WaveReply.error("SERVICE_UNAVAILABLE", "The key cannot be verified now"),
                .close(Closing(4500, "Server Error")),
            ]
        case .success(let principal):
            self.key = ""
            let plan = WavePlan(principal.tier)
            self.principal = principal
            self.rate = RateLimiter(plan.messages, at: now)
            var actions: [SessionAction] = []
            if let max = plan.socketsMax {
                actions.append(
                    .claim(
                        Seat(
                            owner: "wave/\(principal.seatOwner)", max: max, farewell: WaveReply.rateLimited,
                            closing: .rateLimited)))
            }
            if let expires = principal.expires { actions.append(.wake(at: expires)) }
            return actions
        }
    }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] {
        guard let principal = self.principal else { return [] }
        let request = WaveRequest.parse(text)
        switch request {
        case .success(.ping(let timestamp)):
            return [
                .sendLater(
                    WaveReply.frame("pong", ["timestamp": timestamp ?? .integer(now.milliseconds)]),
                    after: Self.pongDelay)
            ]
        case .success(.pong): return []
        default: break
        }
        guard self.rate?.take(at: now) == true else { return [.send(WaveReply.rateLimited), .close(.rateLimited)] }
        switch request {
        case .failure(let problem): return [WaveReply.error(problem)]
        case .success(let request): return self.perform(request, as: principal)
        }
    }

    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] {
        guard self.rate?.take(at: now) == true else { return [.send(WaveReply.rateLimited), .close(.rateLimited)] }
        return [WaveReply.error(WaveProblem(field: "frame", reason: "text frames only"))]
    }

    mutating func called(_ result: Result<[UInt8], CommandFailure>, at now: Timestamp) -> [SessionAction] {
        guard let principal = self.principal, let request = self.pending else { return [] }
        self.pending = nil
        guard case .subscribe(let stream, let events) = request else {
            guard case .failure(let failure) = result else { return [] }
            return [WaveReply.error(WaveProblem(failure, of: request))]
        }
        switch result {
        case .success(let answer):
            // `try?`: an answer that cannot be read is as good as none, and the gateway delivers only the key's own tenant.
            let found = try? JSON.decode(FindStream.Answer.self, from: answer)
            guard found.map({ $0.tenant == principal.tenant }) ?? true else {
                return [WaveReply.error(WaveProblem(CommandFailure(.forbidden, ""), of: request))]
            }
        case .failure(let failure) where [.notFound, .forbidden, .invalid].contains(failure.code):
            return [WaveReply.error(WaveProblem(failure, of: request))]
        case .failure:
            // Clients never try a `subscribe` again. Events flow when stream-metrics is back.
            break
        }
        return self.subscribe(stream, events, as: principal)
    }

    mutating func woke(at now: Timestamp) -> [SessionAction] { Self.invalidAuth }

    mutating func beat(at now: Timestamp) -> [SessionAction] {
        self.principal == nil ? [] : [.send(WaveReply.frame("ping", ["timestamp": .integer(now.milliseconds)]))]
    }

    private mutating func perform(_ request: WaveRequest, as principal: Principal) -> [SessionAction] {
        switch request {
        case .ping, .pong: return []
        case .unsubscribe(let stream):
            let dropped = self.streams.removeValue(forKey: stream) ?? []
            let reply = WaveReply.send("unsubscribed", ["stream_id": .string(stream)])
            return dropped.isEmpty
                ? [reply] : [.unsubscribe(dropped.map { filterKey($0, stream) }, tenant: principal.tenant), reply]
        case .subscribe(let stream, let events):
            guard let allowed = Self.entitled(to: events, of: stream, as: principal) else {
                return [WaveReply.error(WaveProblem(CommandFailure(.forbidden, ""), of: request))]
            }
            guard self.streams[stream] != nil || self.streams.count < Self.streamsMax else {
                return [
                    WaveReply.error(
                        WaveProblem(field: "stream_id", reason: "more than \(Self.streamsMax) streams", of: request))
                ]
            }
            guard allowed.contains(where: Wave.ownTypes.contains) else {
                return self.subscribe(stream, allowed, as: principal)
            }
            self.pending = .subscribe(stream: stream, events: allowed)
            return [.call(CommandCall(FindStream(stream: stream)))]
        case .chat(let stream, let message):
            return self.call(
                SendChat(stream: stream, message: message, sender: principal), on: stream, for: request, as: principal)
        case .reaction(let stream, let reaction):
            return self.call(
                SendReaction(stream: stream, reaction: reaction, sender: principal), on: stream, for: request,
                as: principal)
        }
    }

    private mutating func call(
        _ command: some Command, on stream: String, for request: WaveRequest, as principal: Principal
    ) -> [SessionAction] {
        guard principal.permits(.streamsRead, on: .stream(stream)) else {
            return [WaveReply.error(WaveProblem(CommandFailure(.forbidden, ""), of: request))]
        }
        self.pending = request
        return [.call(CommandCall(command))]
    }

    private mutating func subscribe(_ stream: String, _ events: [String], as principal: Principal) -> [SessionAction] {
        let held = (self.streams[stream] ?? [])
        let added = events.filter { !held.contains($0) }
        self.streams[stream] = held + added
        let payload: JSON = ["stream_id": .string(stream), "events": .array((held + added).map(JSON.string))]
        let reply = WaveReply.send("subscribed", payload)
        return added.isEmpty ? [reply] : [reply, .subscribe(added.map { filterKey($0, stream) }, as: principal)]
    }

    /// What is meant by no events is all that the key may see; events that are asked for by name are granted all or not at all.
    private static func entitled(to events: [String], of stream: String, as principal: Principal) -> [String]? {
        let asked = events.isEmpty ? Wave.ownTypes : events
        let allowed = asked.filter { name in Wave.types[name].map { principal.maySee($0, room: stream) } ?? false }
        return allowed.isEmpty || !events.isEmpty && allowed.count < asked.count ? nil : allowed
    }

    private static let invalidAuth: [SessionAction] = [
        WaveReply.error("AUTHENTICATION_REQUIRED", "The API key is missing, unknown, expired or revoked"),
        .close(Closing(4401, "Invalid Auth")),
    ]
}

extension Closing {
    fileprivate static let rateLimited = Closing(4429, "Rate Limited")
}

/// What a plan allows (docs/dialects/wave.md §7).
private struct WavePlan {
    let messages: RateLimit
    /// Open connections of one key; `nil`: any number.
    let socketsMax: Int?

    init(_ tier: Tier) {
        let perMinute: Double =
            switch tier {
            case .free: 60
            case .pro: 300
            case .enterprise: 1000
            }
        self.messages = RateLimit(burst: perMinute * 2, perSecond: perMinute / 60)
        self.socketsMax =
            switch tier {
            case .free: 50
            case .pro: 500
            case .enterprise: nil
            }
    }
}
