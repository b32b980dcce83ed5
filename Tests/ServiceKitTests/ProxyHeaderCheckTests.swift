import Logging
import Peers
import ServiceKit
import Testing

@Suite struct ProxyHeaderCheckTests {
    private static let key = Array(String(repeating: "k", count: 64).utf8)

    private static func header(_ uniqueID: [UInt8]?) throws -> ProxyHeader {
        let value = uniqueID.map { [5, 0, UInt8($0.count)] + $0 } ?? []
        let bytes =
            Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, UInt8(12 + value.count)]
            + [127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2] + value
        guard case .complete(let header) = ProxyHeader.parse(bytes) else { throw Malformed() }
        return header
    }

    private struct Malformed: Error {}

    private static func check(_ key: [UInt8]?) -> ProxyHeaderCheck {
        ProxyHeaderCheck(key: key.map(ProxyKey.init), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func `only a header with the key is believed`() throws {
        let check = Self.check(Self.key)
        #expect(check.refusal(of: try Self.header(Self.key)) == nil)
        for other in [nil, [], Array(Self.key.dropLast()), Self.key + [107], Array(Self.key.dropLast()) + [108]] {
            #expect(check.refusal(of: try Self.header(other)) == .wrongKey)
        }
    }

    @Test func `without a key none is, not even a health check's`() throws {
        let check = Self.check(nil)
        #expect(check.refusal(of: try Self.header(Self.key)) == .noKey)
        let balancer = ProxyHeader.parse(Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x20, 0, 0, 0])
        guard case .complete(let header) = balancer else { throw Malformed() }
        #expect(check.refusal(of: header) == .noKey)
        #expect(Self.check(Self.key).refusal(of: header) == nil)
    }
}
