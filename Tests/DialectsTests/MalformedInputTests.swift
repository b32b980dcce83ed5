import Events
import Testing

@testable import Dialects

/// Whatever a client sends, a session answers or is silent; it never traps.
@Suite struct MalformedInputTests {
    private static let words = [
        "type", "action", "data", "events", "subscribe", "unsubscribe", "ping", "auth", "token", "nonce", "topic",
        "room", "stream_id",
        "camera_ids", "chat.message", "stream_control", "settings", "request_id", "*", "sources:*", "channel.tips",
        "payload", "timestamp",
    ]

    private static let texts: [String] = [
        "", " ", "\u{0}", "{", "}", "[", "null", "true", "0", "-", "1e999", "\"\"", "\"\\ud800\"", "{\"type\":{}}",
        "{\"action\":[]}",
        "{\"type\":null}", "{\"type\":1e308}", "{\"type\":\"subscribe\",\"data\":null}",
        "{\"type\":\"subscribe\",\"type\":\"ping\"}",
        "{\"action\":\"ping\",\"timestamp\":99999999999999999999999}", "{\"type\":\"ping\",\"timestamp\":-1e300}",
        "{\"type\":\"ping\",\"timestamp\":\"x\"}", "{\"action\":\"ping\",\"timestamp\":{\"a\":[1,{}]}}",
        String(repeating: "[", count: 60_000), String(repeating: "{\"type\":", count: 8000),
        "{\"type\":\"subscribe\",\"events\":\(String(repeating: "[", count: 400))\(String(repeating: "]", count: 400))}",
        "{\"action\":\"ping\",\"timestamp\":\(String(repeating: "[", count: 400))\(String(repeating: "]", count: 400))}",
        "{\"action\":\"\(String(repeating: "x", count: 60_000))\"}",
    ]

    /// A session before and after its login.
    private static func sessions(_ dialect: any Dialect) -> [any DialectSession] {
        var fresh = dialect.makeSession(UpgradeRequest(path: "/", query: [("api_key", "k")]), principal: .user())
        _ = fresh.opened(at: .noon)
        var loggedIn = fresh
        _ = loggedIn.received(Array(#"{"type":"auth","token":"t"}"#.utf8), at: .noon)
        _ = loggedIn.verified(.success(.user(tier: .enterprise)), at: .noon)
        return [fresh, loggedIn]
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `no text traps, and every answer is JSON`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        for text in Self.texts {
            for var session in Self.sessions(dialect) {
                Self.check(session.received(Array(text.utf8), at: .noon))
                Self.check(session.receivedBinary(Array(text.utf8), at: .noon))
            }
        }
    }

    @Test(arguments: DialectRegistry.all.map(\.profile.name))
    func `no random message traps, in any order with the other inputs`(name: DialectName) throws {
        let dialect = try #require(DialectRegistry.all.first { $0.profile.name == name })
        for _ in 0..<20 {
            for var session in Self.sessions(dialect) {
                for _ in 0..<50 {
                    let message = JSON.object(
                        [
                            "type": Self.value(depth: 1), "action": Self.value(depth: 1), "data": Self.value(depth: 3),
                            Self.word: Self.value(depth: 2), Self.word: Self.value(depth: 2),
                        ] as KeyValuePairs)
                    Self.check(session.received(message.bytes, at: .noon))
                    switch Int.random(in: 0..<8) {
                    case 0: Self.check(session.verified(.success(.user()), at: .noon))
                    case 1: Self.check(session.verified(.failure(.unavailable), at: .noon))
                    case 2: Self.check(session.called(.success(message.bytes), at: .noon))
                    case 3: Self.check(session.called(.failure(CommandFailure(.conflict, "")), at: .noon))
                    case 4: Self.check(session.woke(at: .noon + .seconds(60)))
                    case 5: Self.check(session.exceededRate(at: .noon))
                    case 6: Self.check(session.beat(at: .noon))
                    default: break
                    }
                }
                Self.check(session.drain(at: .noon))
            }
        }
    }

    private static var word: String { Self.words.randomElement() ?? "type" }

    private static func value(depth: Int) -> JSON {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 6)) {
        case 0: .null
        case 1: .integer(.random(in: .min ... .max))
        case 2: .bool(.random())
        case 3...5: .string(Self.word)
        case 6: .array((0..<3).map { _ in Self.value(depth: depth - 1) })
        default:
            .object(
                [Self.word: Self.value(depth: depth - 1), Self.word: Self.value(depth: depth - 1)] as KeyValuePairs)
        }
    }

    private static func check(_ actions: [SessionAction], location: SourceLocation = #_sourceLocation) {
        for action in actions {
            switch action {
            case .send(let bytes), .sendLater(let bytes, _):
                #expect(JSON(parsing: bytes) != nil, sourceLocation: location)
            case .close(let closing): #expect(closing.reason.utf8.count <= 123, sourceLocation: location)
            default: break
            }
        }
    }
}

extension JSON {
    /// Later members win, as random ones may meet.
    fileprivate static func object(_ pairs: KeyValuePairs<String, JSON>) -> JSON {
        .object(Dictionary(pairs.map { ($0.key, $0.value) }) { _, last in last })
    }
}
