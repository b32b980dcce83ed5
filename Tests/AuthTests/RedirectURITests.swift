import Testing

@testable import Auth

@Suite struct RedirectURITests {
    @Test(
        arguments: [
            "https://client.example/cb", "https://client.example", "https://client.example:8443/cb?a=b&c=%20",
            "https://[2001:db8::1]/cb", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", "http://[::1]:1/cb",
            "http://localhost:3000/", "com.example.app:/oauth2/cb", "com.example.app://cb",
        ])
    func `one that a client may have`(uri: String) {
        #expect(RedirectURI(uri)?.text == uri)
    }

    @Test(
        arguments: [
            "", "/cb", "//client.example/cb", "client.example/cb", "https:", "https:/cb", "https:///cb", "https://?a",
            "https://client.example/cb#", "https://client.example/#a", "https://user@client.example/cb",
            "https://user:p@client.example/", "https://client.example:0/", "https://client.example:65536/",
            "https://client.example:/", "https://client.example:+80/", "https://client.example:80x/",
            "https://client example/", "https://client.example/a b", "https://client.example\\@evil.example/",
            "https://client.example/\r\nX: y", "https://client.example/\u{0}", "https://clïent.example/",
            "https://client.example/%", "https://client.example/%4", "https://client.example/%zz", "https://<b>/",
            "https://[::1/", "https://[]/", "https://[::1]x/", "http://client.example/cb",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/", "http://2130706433/", "http://[::2]/", "HTTPS://client.example/",
            "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "app:/cb", "com.example.app:",
            "com..app:/cb", ".app:/cb", "app.:/cb", "1.app:/cb", "com.example.app://user@host/",
            "ftp://client.example/",
            "https://client.example/" + String(repeating: "a", count: 2000),
        ])
    func `one that no client may have`(uri: String) {
        #expect(RedirectURI(uri) == nil)
    }

    @Test(
        arguments: [
            ("https://client.example/cb", "https://client.example/cb", true),
            ("https://client.example/cb/", "https://client.example/cb", false),
            ("https://client.example/CB", "https://client.example/cb", false),
            ("https://Client.example/cb", "https://client.example/cb", false),
            ("https://client.example:443/cb", "https://client.example/cb", false),
            ("https://client.example/cb?x=1", "https://client.example/cb", false),
            ("https://client.example/cb", "https://client.example/cb?x=1", false),
            ("https://client.example/c%62", "https://client.example/cb", false),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb", true),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb", true),
            ("http://[::1]:1/cb", "http://[::1]/cb", true),
            ("http://127.0.0.1:1/cb2", "http://127.0.0.1/cb", false),
            ("http://127.0.0.1:1/cb?x", "http://127.0.0.1/cb", false),
            ("http://localhost:1/cb", "http://127.0.0.1/cb", false),
            ("https://127.0.0.1:1/cb", "http://127.0.0.1/cb", false),
            ("https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb", false),
            ("com.example.app:/cb", "com.example.app:/cb", true),
            ("com.example.app:/cb2", "com.example.app:/cb", false),
        ])
    func `only a loopback address's port may differ from what was registered`(
        uri: String, registered: String, fits: Bool
    ) {
        #expect(RedirectURI(uri)?.fits(registered: registered) == fits)
    }

    @Test func `parameters go behind those that are there, escaped`() {
        let parameters: [(name: String, value: String?)] = [("code", "a+b&c=d é\r\n"), ("state", nil), ("iss", "x")]
        let query = "code=a%2Bb%26c%3Dd%20%C3%A9%0D%0A&iss=x"
        #expect(RedirectURI("https://a.example/")?.adding(parameters) == "https://a.example/?\(query)")
        #expect(RedirectURI("https://a.example/?x=1")?.adding(parameters) == "https://a.example/?x=1&\(query)")
        #expect(RedirectURI("https://a.example/?")?.adding(parameters) == "https://a.example/?\(query)")
    }
}
