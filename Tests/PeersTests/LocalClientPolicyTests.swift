import Testing

@testable import Peers

@Suite struct LocalClientPolicyTests {
    /// One request as a client sends it; only the fields that count.
    private struct Row {
        let client: String
        var host = "127.0.0.1:3000"
        var fields: [(name: String, value: String)] = []
        var reason: LocalClientPolicy.Reason?
    }

    private static func fetch(_ site: String, _ origin: String?) -> [(name: String, value: String)] {
        let fields = [("sec-fetch-site", site), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]
        return (origin.map { [("origin", $0)] } ?? []) + fields
    }

    private static func load(
        _ site: String, _ mode: String, _ destination: String
    ) -> [(name: String, value: String)] {
        [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)]
    }

    private func reason(
        _ fields: [(name: String, value: String)], host: String = "127.0.0.1:3000", peer: Peer? = nil
    ) -> LocalClientPolicy.Reason? {
        LocalClientPolicy.reasonNotLocal(peer ?? Peer(connection: "127.0.0.1"), hosts: [host], fields: fields)
    }

    /// Recorded with Chromium 156.
    private static let chromium: [Row] = [
        Row(client: "page of the same port, fetch", fields: Self.fetch("same-origin", nil)),
        Row(client: "page of the same port, POST", fields: Self.fetch("same-origin", "http://127.0.0.1:3000")),
        Row(client: "page of the same port, WebSocket", fields: [("origin", "http://127.0.0.1:3000")]),
        Row(client: "page of the same port, image", fields: Self.load("same-origin", "no-cors", "image")),
        Row(client: "page of the same port, frame", fields: Self.load("same-origin", "navigate", "iframe")),
        Row(client: "page of another port, fetch", fields: Self.fetch("same-site", "http://127.0.0.1:8080")),
        Row(client: "page of another port, WebSocket", fields: [("origin", "http://127.0.0.1:8080")]),
        Row(client: "page of another port, image", fields: Self.load("same-site", "no-cors", "image")),
        Row(client: "page of another port, frame", fields: Self.load("same-site", "navigate", "iframe")),
        Row(
            client: "page of 127.0.0.1 at localhost, fetch", host: "localhost:3000",
            fields: Self.fetch("cross-site", "http://127.0.0.1:8080")),
        Row(
            client: "page of 127.0.0.1 at localhost, WebSocket", host: "localhost:3000",
            fields: [("origin", "http://127.0.0.1:8080")]),
        Row(
            client: "page of 127.0.0.1 at localhost, image", host: "localhost:3000",
            fields: Self.load("cross-site", "no-cors", "image"), reason: .site),
        Row(client: "typed address", host: "localhost:3000", fields: Self.load("none", "navigate", "document")),
        Row(client: "page opened from a file, fetch", fields: Self.fetch("cross-site", "null"), reason: .origin),
        Row(client: "page opened from a file, WebSocket", fields: [("origin", "null")], reason: .origin),
        Row(
            client: "page opened from a file, image", fields: Self.load("cross-site", "no-cors", "image"),
            reason: .site),
        Row(
            client: "page opened from a file with --allow-file-access-from-files, fetch",
            fields: Self.fetch("cross-site", "file://")),
        Row(
            client: "page opened from a file with --allow-file-access-from-files, WebSocket",
            fields: [("origin", "file://")]),
        Row(
            client: "page of another site, fetch", fields: Self.fetch("cross-site", "http://evil.example"),
            reason: .origin),
        Row(client: "page of another site, WebSocket", fields: [("origin", "http://evil.example")], reason: .origin),
        Row(client: "page of another site, image", fields: Self.load("cross-site", "no-cors", "image"), reason: .site),
        Row(
            client: "page of another site, frame", fields: Self.load("cross-site", "navigate", "iframe"), reason: .site),
        Row(client: "link of another site", fields: Self.load("cross-site", "navigate", "document"), reason: .site),
        // Its name leads here; the browser believes that it asks its own site, and sends no Sec-Fetch-Site by HTTP.
        Row(client: "rebound page, fetch", host: "evil.example:3000", reason: .host),
        Row(
            client: "rebound page, POST", host: "evil.example:3000", fields: [("origin", "http://evil.example:3000")],
            reason: .host),
        Row(
            client: "rebound page, WebSocket", host: "evil.example:3000",
            fields: [("origin", "http://evil.example:3000")], reason: .host),
    ]

    /// Recorded, but for OBS: what follows from its source code. It shows a local file as a page of `http://absolute` from OBS 28
    /// on, and before as one of `file:` without a browser's limits.
    private static let others: [Row] = [
        Row(client: "curl 7.88", fields: [("user-agent", "curl/7.88.1"), ("accept", "*/*")]),
        Row(
            client: "Node 20, fetch",
            fields: [
                ("connection", "keep-alive"), ("accept-language", "*"), ("sec-fetch-mode", "cors"),
                ("user-agent", "node"), ("accept-encoding", "gzip, deflate"),
            ]),
        Row(
            client: "Node, ws 8", host: "localhost:3000",
            fields: [
                ("sec-websocket-version", "13"), ("connection", "Upgrade"), ("upgrade", "websocket"),
                ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ]),
        Row(
            client: "Python, urllib",
            fields: [("accept-encoding", "identity"), ("user-agent", "Python-urllib/3.11"), ("connection", "close")]),
        Row(
            client: "Python, requests",
            fields: [
                ("user-agent", "python-requests/2.28.1"), ("accept-encoding", "gzip, deflate"),
                ("connection", "keep-alive"),
            ]),
        Row(
            client: "Python, websockets",
            fields: [
                ("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13"),
                ("user-agent", "Python/3.11 websockets/17.4"),
            ]),
        Row(
            client: "OBS, a page of localhost, fetch", host: "localhost:3000",
            fields: Self.fetch("same-origin", "http://localhost:3000")),
        Row(
            client: "OBS, a page of localhost, WebSocket", host: "localhost:3000",
            fields: [("origin", "http://localhost:3000")]),
        Row(client: "OBS to 27, a local file, WebSocket", fields: [("origin", "file://")]),
        Row(client: "OBS from 28, a local file, WebSocket", fields: [("origin", "http://absolute")], reason: .origin),
        Row(
            client: "OBS from 28, a local file, fetch", fields: Self.fetch("cross-site", "http://absolute"),
            reason: .origin),
    ]

    @Test func `each client is local or is not, by what it sends`() {
        for row in Self.chromium + Self.others {
            #expect(self.reason(row.fields, host: row.host) == row.reason, "\(row.client)")
        }
    }

    @Test(arguments: [
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server",
        "x-forwarded", "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip",
        "cf-connecting-ip", "cf-ray", "cdn-loop", "fastly-client-ip", "fly-client-ip", "x-original-for",
        "x-original-host", "x-original-url", "x-amzn-trace-id", "x-envoy-external-address", "x-arr-ssl", "x-azure-fdid",
        "tailscale-user-login", "proxy-connection", "x-scheme", "front-end-https",
    ])
    func `what a proxy carries is not local, whatever it says`(name: String) {
        for value in ["127.0.0.1", "localhost", "", "1.1 proxy"] {
            #expect(self.reason([("accept", "*/*"), (name, value)]) == .forwarded(name))
        }
    }

    @Test(arguments: [
        "x-request-id", "traceparent", "x-forward", "forward", "viable", "x-requested-with", "x-api-version",
    ])
    func `other fields are no proxy's`(name: String) { #expect(self.reason([(name, "a")]) == nil) }

    @Test func `who connects from elsewhere is not local, whatever else is true`() {
        for peer in [
            Peer(connection: "172.18.0.1"), Peer(connection: ""), Peer(connection: "127.0.0.1", carried: .unknown),
            Peer(connection: "127.0.0.1", carried: .address("192.0.2.7")),
            Peer(connection: "172.18.0.2", carried: .address("127.0.0.1")),
        ] {
            #expect(self.reason([], peer: peer) == .peer)
            #expect(self.reason([("x-forwarded-for", "127.0.0.1")], peer: peer) == .peer)
        }
        #expect(self.reason([], peer: Peer(connection: "127.0.0.1", carried: .address("::1"))) == nil)
    }

    @Test func `a client of HTTP 1.0 is a proxy`() {
        let peer = Peer(connection: "127.0.0.1")
        let hosts = ["127.0.0.1:3030"]
        #expect(LocalClientPolicy.reasonNotLocal(peer, isHTTP11: false, hosts: hosts, fields: []) == .version)
        #expect(LocalClientPolicy.reasonNotLocal(peer, isHTTP11: true, hosts: hosts, fields: []) == nil)
    }

    @Test func `there is one Host`() {
        let peer = Peer(connection: "::1")
        func reason(_ hosts: [String], _ fields: [(name: String, value: String)] = []) -> LocalClientPolicy.Reason? {
            LocalClientPolicy.reasonNotLocal(peer, hosts: hosts, fields: fields)
        }
        #expect(reason(["[::1]:3000"]) == nil)
        #expect(reason([]) == .host)
        #expect(reason(["localhost", "localhost"]) == .host)
        #expect(reason(["localhost"], [("host", "localhost")]) == .host)
    }

    @Test(arguments: [
        ("http://localhost", true), ("https://localhost:8443", true), ("http://[::1]:8080", true),
        ("http://127.0.0.2", true), ("file://", true), ("null", false), ("", false), ("file:///", false),
        ("file://localhost", false), ("http://localhost.evil.example", false),
        ("http://localhost:80@evil.example", false),
        ("http://127.0.0.1.evil.example", false), ("http://evil.example", false), ("http://localhost/", false),
        ("ws://localhost", false), ("localhost", false), ("chrome-extension://abc", false),
        ("http://0.0.0.0:3000", false),
        ("http://localhost, http://evil.example", false), ("HTTP://LOCALHOST", false), ("http://", false),
    ])
    func `an origin is of this machine, or is not`(origin: String, isLocal: Bool) {
        #expect(self.reason([("origin", origin)]) == (isLocal ? nil : .origin))
        // It decides where there is one.
        #expect(self.reason([("sec-fetch-site", "cross-site"), ("origin", origin)]) == (isLocal ? nil : .origin))
    }

    @Test func `two origins are none`() {
        #expect(self.reason([("origin", "http://localhost"), ("origin", "http://localhost")]) == .origin)
    }

    @Test(arguments: [
        ("none", true), ("same-origin", true), ("same-site", true), ("cross-site", false), ("", false),
        ("none, cross-site", false), ("Same-Origin", false),
    ])
    func `without an origin the site decides`(site: String, isLocal: Bool) {
        #expect(self.reason([("sec-fetch-site", site)]) == (isLocal ? nil : .site))
    }
}
