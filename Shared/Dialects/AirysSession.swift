import Events

/// One Airys connection: the login and its deadline, the filter, camera control.
struct AirysSession: DialectSession {
    private static let loginMax = Duration.seconds(10)
    private static let socketsMax = 100
    /// Messages beyond the rate within this time are one overflow.
    private static let overflowLength = Duration.seconds(1)
    private static let overflowsMax = 3
    private static let overflowMemory = Duration.seconds(60)
    /// Of a message that is no chunk.
    private static let plainBytesMax = 64 * 1024
    /// In a chunk, which has six members at most, and in a message that comes in chunks.
    private static let chunkValuesMax = 16
    private static let joinedValuesMax = 4096

    private enum State {
        case connecting
        /// `isByMessage`: the client has sent its `auth`; one that logged in by the URL may still send it.
        case loggedIn(Principal, isByMessage: Bool)
        case closed
    }

    /// What an answer is awaited for.
    private enum Pending {
        case login(AirysCommand.Envelope?)
        case snapshot
        case control(AirysCommand.Control, AirysCommand.Envelope)
    }

    private let token: String?
    private let id: ULID
    private var state = State.connecting
    private var deadline: Timestamp?
    private var pending: Pending?
    private var filter = AirysFilter()
    private var overflows: [Timestamp] = []
    private var chunks = AirysChunks()

    init(token: String?, id: ULID = ULID()) {
        self.token = token
        self.id = id
    }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        self.deadline = now + Self.loginMax
        let wake = SessionAction.wake(at: now + Self.loginMax)
        guard let token = self.token else { return [wake] }
        self.pending = .login(nil)
        return [wake, .verify(Credential(token))]
    }

    var isLoggedIn: Bool { if case .loggedIn = self.state { true } else { false } }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] {
        // What is long and has many values takes so long to parse that everybody else waits.
        let isPlain = text.count <= Self.plainBytesMax
        guard isPlain || AirysCommand.countValues(in: text, upTo: Self.chunkValuesMax) <= Self.chunkValuesMax else {
            return self.close(.tooBig)
        }
        let command = AirysCommand.parse(text)
        guard isPlain || command.envelope?.type == "chunk" else { return self.close(.tooBig) }
        switch (self.state, command) {
        case (.closed, _): return []
        case (.connecting, .success(.auth(let token, let envelope))),
            (.loggedIn(_, false), .success(.auth(let token, let envelope))):
            self.pending = .login(envelope)
            return [.verify(Credential(token))]
        case (.connecting, .failure(let problem)) where problem.isOfAuth: return [AirysReply.error(problem)]
        case (.connecting, _):
            return [AirysReply.error(AirysProblem("NOT_AUTHENTICATED", "Send auth first", command.envelope))]
        case (.loggedIn, .failure(let problem)): return [AirysReply.error(problem)]
        case (.loggedIn(let principal, _), .success(let command)): return self.perform(command, as: principal, at: now)
        }
    }

    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] {
        self.close(.unsupportedData)
    }

    mutating func exceededRate(at now: Timestamp) -> [SessionAction] {
        if let last = self.overflows.last, now - last < Self.overflowLength { return [] }
        self.overflows.removeAll { now - $0 >= Self.overflowMemory }
        self.overflows.append(now)
        let problem = AirysProblem("RATE_LIMITED", "Too many messages", details: ["retry_after": 1])
        guard self.overflows.count >= Self.overflowsMax else { return [AirysReply.error(problem)] }
        return [AirysReply.error(problem)] + self.close(Closing(4429, "rate limited"))
    }

    mutating func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp) -> [SessionAction] {
        guard case .login(let envelope) = self.pending else { return [] }
        self.pending = nil
        switch (self.state, result) {
        case (.closed, _): return []
        case (.connecting, .success(let principal)):
            self.state = .loggedIn(principal, isByMessage: envelope != nil)
            return self.welcome(principal, envelope, at: now)
        case (.loggedIn(let principal, _), .success(let other)) where principal.tenant == other.tenant:
            self.state = .loggedIn(principal, isByMessage: true)
            return [self.success(principal, envelope)]
        case (_, .failure(.unavailable)):
            return [AirysReply.error(AirysProblem("INTERNAL_ERROR", "The token cannot be verified now", envelope))]
                + self.close(Closing(4500, "internal error"))
        case (_, .failure(.limited(let seconds))):
            let problem = AirysProblem(
                "RATE_LIMITED", "Too many wrong tokens", envelope, details: ["retry_after": .integer(Int64(seconds))])
            return [AirysReply.error(problem)] + self.close(Closing(4429, "rate limited"))
        case (_, .success), (_, .failure(.invalid)):
            return self.refuse("AUTH_FAILED", "The token is not valid", envelope)
        }
    }

    mutating func called(_ result: Result<[UInt8], CommandFailure>, at now: Timestamp) -> [SessionAction] {
        defer { self.pending = nil }
        switch (self.pending, result) {
        case (.snapshot, .success(let answer)):
            // `try?`: without a snapshot the client learns the states from the events that follow.
            let statuses = (try? JSON.decode(ActiveCameras.Answer.self, from: answer))?.statuses ?? []
            guard case .loggedIn(let principal, _) = self.state else { return [] }
            return statuses.filter { status in
                (status["camera_id"]?.string).map { principal.permits(.camerasRead, on: .camera($0)) } ?? false
            }.map(AirysReply.snapshot)
        case (.control(let control, let envelope), .success(let answer)):
            let ack = AirysReply.ack(control, envelope)
            // `try?`: the action was carried out, which is what the acknowledgement says.
            guard control.action == .status, let answer = try? JSON.decode(ControlCamera.Answer.self, from: answer)
            else { return [ack] }
            return [ack, AirysReply.snapshot(answer.status)]
        case (.control(_, let envelope), .failure(let failure)):
            return [AirysReply.error(AirysProblem(failure, envelope))]
        case (.snapshot, .failure), (.login, _), (nil, _): return []
        }
    }

    mutating func woke(at now: Timestamp) -> [SessionAction] {
        switch self.state {
        case .connecting:
            guard let deadline = self.deadline, deadline <= now else { return [] }
            return self.refuse("AUTH_TIMEOUT", "No auth within \(Self.loginMax.components.seconds) seconds", nil)
        case .loggedIn(let principal, _):
            guard !principal.isExpired(at: now) else {
                return self.refuse("AUTH_FAILED", "The token has expired", nil)
            }
            let lost = self.chunks.giveUp(at: now).map {
                AirysReply.error(
                    AirysProblem("INVALID_MESSAGE", "Chunks are missing after 30 seconds", details: ["id": .string($0)])
                )
            }
            return lost + self.nextWake(of: principal)
        case .closed: return []
        }
    }

    private func nextWake(of principal: Principal) -> [SessionAction] {
        [principal.expires, self.chunks.nextEnd].compactMap(\.self).min().map { [.wake(at: $0)] } ?? []
    }

    /// Clients come back only after a connection that was lost (1006): hence no CLOSE frame.
    mutating func drain(at now: Timestamp) -> [SessionAction] {
        self.state = .closed
        return [.send(Airys.status("restarting", at: now)), .drop]
    }

    private mutating func welcome(_ principal: Principal, _ envelope: AirysCommand.Envelope?, at now: Timestamp)
        -> [SessionAction]
    {
        var actions: [SessionAction] = []
        if principal.tier != .enterprise {
            let problem = AirysProblem("CONNECTION_LIMIT", "More than \(Self.socketsMax) connections", envelope)
            let seat = Seat(
                owner: "airys/\(principal.tenant)", max: Self.socketsMax, farewell: AirysReply.frame(problem),
                closing: Closing(4429, "connection limit"))
            actions.append(.claim(seat))
        }
        actions += [
            self.success(principal, envelope), .send(Airys.status("online", at: now)),
            .subscribe([Airys.statusKey], as: Self.watcher(principal)),
            .subscribe(self.filter.keys.sorted(), as: principal),
        ]
        actions += self.nextWake(of: principal)
        guard principal.permitsSomewhere(.camerasRead) else { return actions }
        self.pending = .snapshot
        return actions + [.call(CommandCall(ActiveCameras(tenant: principal.tenant)))]
    }

    private func success(_ principal: Principal, _ envelope: AirysCommand.Envelope?) -> SessionAction {
        let data: [String: JSON] = [
            "session_id": .string(self.id.text), "account_id": .string(principal.tenant),
            "tier": .string(principal.tier.rawValue),
            "max_message_size": .integer(Int64(Airys.messageBytesMax)), "heartbeat_interval": 30,
        ]
        return AirysReply.send("auth_success", data, envelope)
    }

    /// Every client may know whether the installation is up, whatever its scopes and account: the status says nothing else.
    private static func watcher(_ principal: Principal) -> Principal {
        var watcher = principal
        watcher.tenant = Principal.defaultTenant
        watcher.scopes = [.systemRead]
        watcher.limits = nil
        return watcher
    }

    private mutating func perform(_ command: AirysCommand, as principal: Principal, at now: Timestamp)
        -> [SessionAction]
    {
        switch command {
        case .auth(_, let envelope):
            return [AirysReply.error(AirysProblem("ALREADY_AUTHENTICATED", "Already authenticated", envelope))]
        case .beat(let timestamp, let envelope):
            var data: [String: JSON] = ["timestamp": .integer(now.seconds)]
            data["client_timestamp"] = timestamp
            return [AirysReply.send(envelope.type == "ping" ? "pong" : "heartbeat", data, envelope)]
        case .subscribe(let events, let cameras, let envelope):
            return self.change(
                to: self.filter.adding(events: events, cameras: cameras), "subscribed", envelope, as: principal)
        case .unsubscribe(let events, let cameras, let envelope):
            return self.change(
                to: self.filter.removing(events: events, cameras: cameras), "unsubscribed", envelope, as: principal)
        case .chunk(let chunk, let envelope): return self.take(chunk, envelope, as: principal, at: now)
        case .control(let control, let envelope):
            let scope = control.action == .status ? Scope.camerasRead : .camerasControl
            guard principal.permits(scope, on: .camera(control.camera)) else {
                return [AirysReply.error(AirysProblem("FORBIDDEN", "The token does not allow this", envelope))]
            }
            self.pending = .control(control, envelope)
            let call = ControlCamera(
                camera: control.camera, action: control.action.rawValue, settings: control.settings, sender: principal)
            return [.call(CommandCall(call))]
        }
    }

    private mutating func take(
        _ chunk: AirysChunks.Chunk, _ envelope: AirysCommand.Envelope, as principal: Principal, at now: Timestamp
    ) -> [SessionAction] {
        do throws(AirysProblem) {
            guard let text = try self.chunks.take(chunk, envelope, at: now) else { return self.nextWake(of: principal) }
            guard AirysCommand.countValues(in: text, upTo: Self.joinedValuesMax) <= Self.joinedValuesMax else {
                return [AirysReply.error(AirysProblem("INVALID_MESSAGE", "Too many values", envelope))]
            }
            switch AirysCommand.parse(text) {
            case .success(.chunk(_, let envelope)):
                return [AirysReply.error(AirysProblem("INVALID_MESSAGE", "A chunk holds no chunks", envelope))]
            case .success(let command): return self.perform(command, as: principal, at: now)
            case .failure(let problem): return [AirysReply.error(problem)]
            }
        } catch {
            return [AirysReply.error(error)]
        }
    }

    private mutating func change(
        to filter: AirysFilter, _ reply: String, _ envelope: AirysCommand.Envelope, as principal: Principal
    ) -> [SessionAction] {
        guard filter.isAllowed else {
            return [AirysReply.error(AirysProblem("INVALID_MESSAGE", "Too many events and cameras", envelope))]
        }
        let (old, new) = (self.filter.keys, filter.keys)
        self.filter = filter
        let (removed, added) = (old.subtracting(new).sorted(), new.subtracting(old).sorted())
        var actions: [SessionAction] = []
        if !removed.isEmpty { actions.append(.unsubscribe(removed, tenant: principal.tenant)) }
        actions.append(AirysReply.send(reply, filter.data, envelope))
        if !added.isEmpty { actions.append(.subscribe(added, as: principal)) }
        return actions
    }

    private mutating func refuse(_ code: String, _ message: String, _ envelope: AirysCommand.Envelope?)
        -> [SessionAction]
    {
        [AirysReply.error(AirysProblem(code, message, envelope))] + self.close(Closing(4401, "authentication failed"))
    }

    private mutating func close(_ closing: Closing) -> [SessionAction] {
        self.state = .closed
        self.pending = nil
        return [.close(closing)]
    }
}
