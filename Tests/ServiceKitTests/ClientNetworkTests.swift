import Testing

@testable import ServiceKit

@Suite struct ClientNetworkTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:0:1"),
        ("2001:db8:0:0:1::", "2001:db8::2"), ("fe80::1%eth0", "fe80::2"), ("", "nonsense"),
    ])
    func `addresses of one network are the same client's`(one: String, other: String) {
        #expect(ClientNetwork(one) == ClientNetwork(other))
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::1", "127.0.0.1"),
        ("::192.0.2.1", "192.0.2.1"),
    ])
    func `others are not`(one: String, other: String) {
        #expect(ClientNetwork(one) != ClientNetwork(other))
    }
}
