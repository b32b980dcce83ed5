import Events
import Testing

@testable import Dialects

/// What must hold for every dialect and every event type.
@Suite struct NamingTests {
    private static let shown = Catalogue.entries.filter { $0.type.domain != "auth" }

    private static func room(of entry: CatalogueEntry) -> String {
        switch entry.room {
        case .none: ""
        case .channel: "acme"
        default: "room-1"
        }
    }

    /// What a client reads as the event's name.
    private static func wireName(_ dialect: any Dialect, _ entry: CatalogueEntry) -> String? {
        let projection = dialect.project(.sample(entry.type, room: Self.room(of: entry))).first
        guard let frame = projection.flatMap({ JSON(parsing: $0.render()) }) else { return nil }
        switch dialect.profile.name {
        case .sourceSaver: return frame["event"]?.string
        case .astro: return frame["topic"]?.string
        case .wave, .grimnir, .airys: return frame["type"]?.string
        }
    }

    /// The type that a dialect's name means, by the rule.
    private static func type(_ name: String, in dialect: DialectName) -> EventType {
        let domain: String? =
            switch dialect {
            case .grimnir: "radio"
            case .airys: "camera"
            default: nil
            }
        let hasDomain = Catalogue.domains.contains { name.hasPrefix("\($0)\(dialect == .sourceSaver ? ":" : ".")") }
        if dialect == .sourceSaver { return EventType(name.replacing(":", with: ".", maxReplacements: 1)) }
        return EventType(hasDomain || domain == nil ? name : "\(domain ?? "").\(name)")
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `every event has a name of its own, and the name maps back`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        var seen: Set<String> = []
        for entry in Self.shown {
            let wire = try #require(Self.wireName(dialect, entry))
            #expect(seen.insert(wire).inserted)
            #expect(Self.type(wire, in: name) == entry.type)
        }
        #expect(
            seen.isDisjoint(with: [
                "system", "error", "ping", "pong", "ack", "subscribed", "welcome", "response", "reconnect",
            ]))
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `the kinds of event that a key stands for are those that answer to it`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        var answering: [String: Set<EventType>] = [:]
        for entry in Self.shown {
            for key in dialect.project(.sample(entry.type, room: "room")).flatMap(\.keys) {
                answering[key, default: []].insert(entry.type)
            }
        }
        for (key, types) in answering { #expect(Set(dialect.entries(answeringTo: key).map(\.type)) == types, "\(key)") }
        #expect(dialect.entries(answeringTo: "moon.rising").isEmpty)
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `an event's data goes through byte for byte`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        let data = Array(#"{ "b":1.50, "a":"é\u0041", "n":12345678901234567890 }"#.utf8)
        for entry in Self.shown {
            var event = Event.sample(entry.type, room: "rööm \"1\" \\ \u{1}")
            event.data = data
            let frame = try #require(dialect.project(event).first).render()
            #expect(frame.contains(data))
            #expect(JSON(parsing: frame) != nil)
        }
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `what is for gateways only is shown to nobody`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        #expect(dialect.project(.sample("auth.revoked")).isEmpty)
        #expect(dialect.project(.sample("moon.rising", room: "r")).isEmpty)
        #expect(dialect.project(.sample("")).isEmpty)
    }

    @Test func `every event of every domain can be subscribed to in every dialect`() throws {
        for entry in Self.shown {
            let event = Event.sample(entry.type, room: Self.room(of: entry))
            for dialect in DialectRegistry.all {
                let keys = try Self.keys(asking: dialect, for: entry)
                #expect(
                    !delivered(dialect.project(event), holding: keys).isEmpty, "\(dialect.profile.name) \(entry.type)")
            }
        }
    }

    /// The keys that a client's own words for exactly this event lead to.
    private static func keys(asking dialect: any Dialect, for entry: CatalogueEntry) throws -> Set<String> {
        let name = try #require(Self.wireName(dialect, entry))
        let room = Self.room(of: entry).isEmpty ? "acme" : Self.room(of: entry)
        let user = Principal.user()
        var request = UpgradeRequest(path: "/", query: [("types", name), ("api_key", "k"), ("token", "t")])
        if dialect.profile.name == .astro { request.query = [] }
        var session = dialect.makeSession(request, principal: user)
        var actions = session.opened(at: .noon)
        func say(_ message: JSON) { actions += session.received(message.bytes, at: .noon) }
        switch dialect.profile.name {
        case .sourceSaver: say(["action": "subscribe", "events": [.string(name)]])
        case .astro:
            let data: JSON = ["topic": .string(name), "room": .string(room), "token": "t", "token_type": "jwt"]
            say(["type": "subscribe", "data": data])
            actions += session.verified(.success(user), at: .noon)
        case .wave:
            actions += session.verified(.success(user), at: .noon)
            say(["type": "subscribe", "stream_id": .string(room), "events": [.string(name)]])
            actions += session.called(.failure(CommandFailure(.unavailable, "")), at: .noon)
        case .grimnir: break
        case .airys:
            actions += session.verified(.success(user), at: .noon)
            say(["type": "subscribe", "events": [.string(name)]])
        }
        return actions.reduce(into: []) { held, action in
            switch action {
            case .subscribe(let keys, as: _): held.formUnion(keys)
            case .unsubscribe(let keys, tenant: _): held.subtract(keys)
            default: break
            }
        }
    }
}

@Suite struct FrameTests {
    @Test(arguments: ["", "plain", "\"\\/\u{0}\u{1F}\u{7F}\n\t", "é😀\u{2028}", "</script>"])
    func `a quoted text is the JSON of that text`(text: String) {
        var frame: [UInt8] = []
        frame.append(quoted: text)
        #expect(JSON(parsing: frame) == .string(text))
    }
}
