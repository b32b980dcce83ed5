import Events

/// One Source Saver connection: its patterns, and the penalty for talking too much.
struct SourceSaverSession: DialectSession {
    /// What a client gets that never subscribed.
    private static let initialPatterns = ["system:statusChange", "system:maintenanceMode"]
    private static let patternsMax = 100
    private static let penalty = Duration.seconds(5)
    private static let ignoredMax = 200

    let isLoggedIn = true
    private let principal: Principal
    /// In the order in which they were asked for.
    private var patterns: [String] = []
    private var hasSubscribed = false
    private var penaltyEnd: Timestamp?
    private var ignored = 0

    init(principal: Principal) { self.principal = principal }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        let subscription = SessionAction.subscribe(Self.initialPatterns, as: self.principal)
        guard let expires = self.principal.expires else { return [subscription] }
        return [subscription, .wake(at: expires)]
    }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] {
        if self.isPenalized(at: now) { return self.ignore() }
        guard let message = JSON(parsing: text) else {
            return [Self.error("message_error", "INVALID_JSON", "Message is not valid JSON", at: now)]
        }
        guard message.object != nil, let action = message["action"]?.string else {
            return [Self.error("message_error", "INVALID_MESSAGE", "Message must be an object with an action", at: now)]
        }
        switch action {
        case "subscribe": return self.subscribe(message, at: now)
        case "unsubscribe": return self.unsubscribe(message, at: now)
        case "ping":
            let data: JSON = [
                "clientTimestamp": message["timestamp"] ?? .null, "serverTimestamp": .string(now.iso8601),
            ]
            return [Self.reply("pong", data, at: now)]
        default: return [Self.error("message_error", "UNKNOWN_ACTION", "Unknown action: \(action)", at: now)]
        }
    }

    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] { [.close(.unsupportedData)] }

    mutating func exceededRate(at now: Timestamp) -> [SessionAction] {
        if self.isPenalized(at: now) { return self.ignore() }
        self.penaltyEnd = now + Self.penalty
        self.ignored = 0
        let data: JSON = [
            "type": "rate_limit_exceeded", "message": "Too many messages sent",
            "retryAfter": .integer(Self.penalty.milliseconds),
        ]
        return [Self.reply("error", data, at: now)]
    }

    mutating func woke(at now: Timestamp) -> [SessionAction] { [.close(.tokenExpired)] }

    private mutating func subscribe(_ message: JSON, at now: Timestamp) -> [SessionAction] {
        guard let asked = Self.events(of: message) else { return [Self.invalidEvents(at: now)] }
        if let unknown = asked.first(where: { !SourceSaver.patterns.contains($0) }) {
            let text = "Invalid event pattern: \(unknown)"
            return [Self.error("subscription_error", "INVALID_EVENT_PATTERN", text, at: now)]
        }
        let added = asked.filter { !self.patterns.contains($0) }
        self.patterns += added
        let data: JSON = [
            "subscribedEvents": .array(self.patterns.map(JSON.string)),
            "subscriptionId": .string("sub-\(ULID(at: now).text)"),
        ]
        var actions = [Self.reply("subscription:confirmed", data, at: now)]
        if !self.hasSubscribed {
            self.hasSubscribed = true
            actions.append(.unsubscribe(Self.initialPatterns, tenant: self.principal.tenant))
        }
        if !added.isEmpty { actions.append(.subscribe(added, as: self.principal)) }
        return actions
    }

    private mutating func unsubscribe(_ message: JSON, at now: Timestamp) -> [SessionAction] {
        guard let asked = Self.events(of: message) else { return [Self.invalidEvents(at: now)] }
        let removed = asked.filter { self.patterns.contains($0) }
        self.patterns.removeAll { removed.contains($0) }
        let data: JSON = [
            "subscribedEvents": .array(self.patterns.map(JSON.string)),
            "unsubscribedEvents": .array(removed.map(JSON.string)),
        ]
        let reply = Self.reply("subscription:updated", data, at: now)
        return removed.isEmpty ? [reply] : [.unsubscribe(removed, tenant: self.principal.tenant), reply]
    }

    private func isPenalized(at now: Timestamp) -> Bool {
        guard let end = self.penaltyEnd else { return false }
        return now < end
    }

    private mutating func ignore() -> [SessionAction] {
        self.ignored += 1
        return self.ignored > Self.ignoredMax ? [.close(Closing(1008, "too many messages"))] : []
    }

    /// The message's patterns, each once; `nil` if they are not a list of a length that is allowed.
    private static func events(of message: JSON) -> [String]? {
        guard let events = message["events"]?.strings, 1...Self.patternsMax ~= events.count else { return nil }
        return events.unique
    }

    private static func invalidEvents(at now: Timestamp) -> SessionAction {
        let text = "events must be an array of 1 to \(Self.patternsMax) strings"
        return Self.error("subscription_error", "INVALID_EVENTS", text, at: now)
    }

    private static func error(_ type: String, _ code: String, _ message: String, at now: Timestamp) -> SessionAction {
        Self.reply("error", ["type": .string(type), "code": .string(code), "message": .string(message)], at: now)
    }

    private static func reply(_ event: String, _ data: JSON, at now: Timestamp) -> SessionAction {
        .send(SourceSaver.frame(event, data: data.bytes, at: now, id: ULID(at: now)))
    }
}
