import Peers
import Testing

@Suite struct PeerTests {
    @Test(
        arguments: [
            ("127.0.0.1", nil, true, "127.0.0.1"), ("127.9.9.9", nil, true, "127.9.9.9"), ("::1", nil, true, "::1"),
            ("172.18.0.1", nil, false, "172.18.0.1"), ("", nil, false, ""),
            ("127.0.0.1", .balancer, true, "127.0.0.1"), ("127.0.0.1", .address("::1"), true, "::1"),
            ("127.0.0.1", .address("192.0.2.7"), false, "192.0.2.7"), ("127.0.0.1", .unknown, false, "127.0.0.1"),
            // A balancer on another machine may have clients there.
            ("172.18.0.2", .address("127.0.0.1"), false, "127.0.0.1"), ("172.18.0.2", .balancer, false, "172.18.0.2"),
        ] as [(String, ProxyHeader.Source?, Bool, String)])
    func `both ends of a carried connection must be here`(
        connection: String, carried: ProxyHeader.Source?, isLoopback: Bool, address: String
    ) {
        let peer = Peer(connection: connection, carried: carried)
        #expect(peer.isLoopback == isLoopback)
        #expect(peer.address == address)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.255.255", true), ("::1", true), ("::ffff:127.0.0.1", true),
        ("::FFFF:127.0.0.1", true), ("128.0.0.1", false), ("127.0.0.256", false), ("127.0.0", false), ("127.1", false),
        ("127.0.0.1.", false), ("127.0.0.1.example.com", false), ("127.0.0.1 ", false), ("127.0.0.+1", false),
        ("0127.0.0.1", false), ("0.0.0.0", false), ("::", false), ("::2", false), ("localhost", false), ("", false),
    ])
    func `loopback is loopback`(address: String, isLoopback: Bool) {
        #expect(Loopback.contains(address: address) == isLoopback)
    }

    @Test(arguments: [
        ("localhost", true), ("localhost:3000", true), ("LocalHost:3000", true), ("127.0.0.1", true),
        ("127.0.0.1:65535", true), ("[::1]", true), ("[::1]:3000", true), ("[::ffff:127.0.0.1]:80", true),
        ("localhost:", false), ("localhost:x", false), ("localhost:65536", false), ("localhost:+80", false),
        ("localhost.:80", false), ("app.localhost:80", false), ("localhost.example:80", false), ("::1", false),
        ("[127.0.0.1]:80", false), ("[::1", false), ("[::1]80", false), ("user@localhost", false),
        ("localhost/", false), ("localhost, localhost", false), ("0.0.0.0:3000", false), ("evil.example:3030", false),
        ("", false),
    ])
    func `an authority is this machine's by its host`(authority: String, isLocal: Bool) {
        #expect(Loopback.contains(authority: authority) == isLocal)
    }
}
