/// An accepted WebSocket handshake that waits for its 101: what a loop needs to take the connection over.
public struct Upgrade: Sendable {
    public let id: ConnectionID
    /// The connected socket. Whoever adopts it owns it from then on, also when that fails.
    public let descriptor: Int32
    /// The client's `Sec-WebSocket-Key`.
    public let key: String
    /// What the client sent behind its request head; frames, if anything.
    public let leftover: [UInt8]
    /// A longer message closes the connection with 1009.
    public let messageBytesMax: Int
    /// What to answer as `Sec-WebSocket-Protocol`.
    public let subprotocol: String?

    public init(
        id: ConnectionID = .next(), descriptor: Int32, key: String, leftover: [UInt8] = [], messageBytesMax: Int,
        subprotocol: String? = nil
    ) {
        self.id = id
        self.descriptor = descriptor
        self.key = key
        self.leftover = leftover
        self.messageBytesMax = messageBytesMax
        self.subprotocol = subprotocol
    }

    /// The request that libwebsockets gets to see. The real one was read and judged before; `nil`: what we would quote from it
    /// is not what it should be.
    var canonicalRequest: [UInt8]? {
        guard Self.isKey(self.key) else { return nil }
        guard self.subprotocol?.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) ?? true else { return nil }
        let head =
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \(self.key)\r\n"
            + "Sec-WebSocket-Version: 13\r\n\r\n"
        return Array(head.utf8) + self.leftover
    }

    /// Whether that is 16 bytes in base 64, as a `Sec-WebSocket-Key` must be (RFC 6455 §4.1).
    public static func isKey(_ text: String) -> Bool {
        text.utf8.count == 24 && text.utf8.suffix(2).elementsEqual("==".utf8)
            && text.utf8.dropLast(2).allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                    true
                default: false
                }
            }
    }
}
