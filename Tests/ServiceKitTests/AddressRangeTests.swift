import ServiceKit
import Testing

@Suite struct AddressRangeTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false), ("192.0.2.128/25", "192.0.2.127", false),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::9", true),
        ("2001:db8::/32", "2001:db9::", false), ("::1", "::1", true), ("::/0", "2001:db8::1", true),
        ("192.0.2.0/24", "::ffff:192.0.2.7", true), ("::/0", "192.0.2.7", true),
        ("192.0.2.0/24", "", false), ("192.0.2.0/24", "unix", false),
    ])
    func `an address lies within, or does not`(range: String, address: String, isWithin: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(address) == isWithin)
    }

    @Test(arguments: [
        "", "localhost", "192.0.2", "192.0.2.1/33", "192.0.2.1/", "/24", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.1/24",
        "2001:db8::/129", "2001:db8::1/32", "192.0.2.0/24/8", "192.0.2.0/ 24", " 192.0.2.1", "192.0.2.1\0",
        "0300.0.2.1",
        "[::1]", "fe80::1%eth0", "192.0.2.0/０",
    ])
    func `what is no network is refused`(text: String) {
        #expect(AddressRange(text) == nil)
    }
}
