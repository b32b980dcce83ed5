import Peers
import Testing

@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    private static let key = Array("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".utf8)

    /// A header with that command and family; `length`: what it says of what follows.
    private static func header(_ command: UInt8, _ family: UInt8, _ rest: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? rest.count
        return self.signature + [command, family, UInt8(length >> 8), UInt8(length & 0xFF)] + rest
    }

    private static func extended(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        [type, UInt8(value.count >> 8), UInt8(value.count & 0xFF)] + value
    }

    private static let version4: [UInt8] = [192, 0, 2, 7, 127, 0, 0, 1, 0xD0, 0x0C, 0x0B, 0xB8]
    private static let version6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [7]
        + Array(repeating: 0, count: 15) + [1, 0xD0, 0x0C, 0x0B, 0xB8]

    private func source(_ bytes: [UInt8]) -> ProxyHeader.Source? {
        if case .complete(let header) = ProxyHeader.parse(bytes) { header.source } else { nil }
    }

    @Test func `what HAProxy 2.6 sends is read`() {
        // Recorded: `server … send-proxy-v2 proxy-v2-options unique-id`, a client at 127.0.0.9.
        let recorded =
            Self.signature + [
                0x21, 0x11, 0x00, 0x4F, 127, 0, 0, 9, 127, 0, 0, 1, 0xAD, 0x22, 0x4D, 0xBC, 0x05, 0, 0x40,
            ]
            + Self.key
        let expected = ProxyHeader.parse(recorded + Array("GET / HTTP/1.1\r\n".utf8))
        guard case .complete(let header) = expected else {
            Issue.record("\(expected)")
            return
        }
        #expect(header.source == .address("127.0.0.9"))
        #expect(header.uniqueID == Self.key)
        #expect(header.length == recorded.count)
        // Its health check.
        let check = Self.header(0x20, 0x00, [])
        #expect(self.source(check) == .balancer)
    }

    @Test func `each family's client is known, or known not to be`() {
        #expect(self.source(Self.header(0x21, 0x11, Self.version4)) == .address("192.0.2.7"))
        #expect(self.source(Self.header(0x21, 0x21, Self.version6)) == .address("2001:db8::7"))
        #expect(self.source(Self.header(0x21, 0x31, Array(repeating: 0x2F, count: 216))) == .unknown)
        #expect(self.source(Self.header(0x21, 0x00, [])) == .unknown)
        // What comes along with a health check means nothing.
        #expect(self.source(Self.header(0x20, 0x11, Self.version4 + Self.extended(0x05, Self.key))) == .balancer)
        #expect(self.source(Self.header(0x20, 0xFF, [1, 2, 3])) == .balancer)
    }

    @Test(
        arguments: [
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "::1"),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "::"),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1], "127.0.0.1"),
            ([0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2], "fe80::1:0:0:2"),
            ([0x20, 0x01, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1], "2001:0:1:0:1:0:1:1"),
            ([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 0, 0, 0], "1:2:3:4:5:6::"),
            ([0xAB, 0xCD, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8], "abcd:2:3:4:5:6:7:8"),
        ] as [([UInt8], String)])
    func `an IPv6 address is written as RFC 5952 has it`(bytes: [UInt8], text: String) {
        let rest = bytes + Array(repeating: 0, count: 20)
        #expect(self.source(Self.header(0x21, 0x21, rest)) == .address(text))
    }

    @Test func `every beginning is incomplete, and says how much is wanted`() {
        let whole = Self.header(0x21, 0x11, Self.version4 + Self.extended(0x05, Self.key))
        for count in 0..<whole.count {
            let wanted = count < 16 ? 16 : whole.count
            #expect(ProxyHeader.parse(whole.prefix(count)) == .incomplete(length: wanted), "\(count)")
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "\r\nGET / HTTP/1.1\r\n", "\r\n\r\nGET /", "\u{16}\u{3}\u{1}",
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        "\r\n\r\n\0\r\nQUIT\r",
    ])
    func `what begins like no header is none`(text: String) {
        #expect(ProxyHeader.parse(Array(text.utf8)) == .absent)
    }

    @Test func `what begins like a header and is none is malformed`() {
        let malformed: [(String, [UInt8])] = [
            ("version 1", Self.header(0x11, 0x11, Self.version4)),
            ("version 3", Self.header(0x31, 0x11, Self.version4)),
            ("a command that does not exist", Self.header(0x22, 0x11, Self.version4)),
            ("datagrams", Self.header(0x21, 0x12, Self.version4)),
            ("a family that does not exist", Self.header(0x21, 0x41, Self.version4)),
            ("too short for IPv4", Self.header(0x21, 0x11, Array(Self.version4.dropLast()))),
            ("too short for IPv6", Self.header(0x21, 0x21, Self.version4)),
            ("too short for a path", Self.header(0x21, 0x31, Array(repeating: 0, count: 215))),
            ("longer than is read", Self.header(0x21, 0x11, [], length: 521)),
            ("as long as can be said", Self.header(0x21, 0x11, [], length: 65_535)),
            ("an extension without its length", Self.header(0x21, 0x11, Self.version4 + [0x05, 0])),
            ("an extension beyond the end", Self.header(0x21, 0x11, Self.version4 + [0x05, 0, 2, 1])),
            (
                "two keys",
                Self.header(0x21, 0x11, Self.version4 + Self.extended(5, Self.key) + Self.extended(5, Self.key))
            ),
        ]
        for (name, bytes) in malformed { #expect(ProxyHeader.parse(bytes) == .malformed, "\(name)") }
    }

    @Test func `a key among other extensions is found, and none is said to be none`() {
        let others = Self.extended(0x03, [1, 2, 3, 4]) + Self.extended(0x02, Array("localhost".utf8))
        func uniqueID(_ bytes: [UInt8]) -> [UInt8]?? {
            if case .complete(let header) = ProxyHeader.parse(bytes) { .some(header.uniqueID) } else { nil }
        }
        #expect(uniqueID(Self.header(0x21, 0x11, Self.version4 + others + Self.extended(5, Self.key))) == Self.key)
        #expect(uniqueID(Self.header(0x21, 0x11, Self.version4 + others)) == .some(nil))
        #expect(uniqueID(Self.header(0x21, 0x11, Self.version4 + Self.extended(5, []))) == .some([]))
    }
}
