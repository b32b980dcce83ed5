import Configuration
import ServiceKit
import Testing

@Suite struct AnonymousAccessTests {
    private func access(_ settings: [String: String]) throws -> AnonymousAccess {
        try AnonymousAccess(
            ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: settings)))
    }

    @Test(arguments: [
        [:], ["HTTP_HOST": "127.0.0.1"], ["HTTP_HOST": "::1"], ["HTTP_HOST": "localhost"], ["EDGE_TLS": ""],
        ["GATEWAY_ORIGINS": " "], ["GATEWAY_EDGE_HOST": "127.0.0.2"], ["AUTH_ISSUER": ""],
        ["AUTH_ISSUER": "http://localhost:3020"], ["AUTH_ISSUER": "http://127.0.0.1:3020/"],
        ["AUTH_ISSUER": "https://[::1]:3020"],
    ])
    func `an installation for this machine lets its clients in`(settings: [String: String]) throws {
        let access = try self.access(settings)
        #expect(access.isAllowed)
        #expect(access.exposures == [])
    }

    @Test(arguments: [
        ("EDGE_TLS", "ssl crt /tls/edge.pem alpn http/1.1", "EDGE_TLS"),
        ("GATEWAY_TLS_CERTIFICATE", "/tls/edge.pem", "gateway.tls.certificate"),
        ("GATEWAY_TLS_KEY", "/tls/edge.key", "gateway.tls.key"),
        ("GATEWAY_ORIGINS", "https://studio.example", "gateway.origins"),
        ("GATEWAY_EDGE_HOST", "0.0.0.0", "gateway.edge.host"), ("GATEWAY_EDGE_HOST", "*", "gateway.edge.host"),
        ("GATEWAY_EDGE_HOST", "studio", "gateway.edge.host"),
        ("HTTP_TRUSTED_PROXIES", "127.0.0.1", "http.trustedProxies"),
        ("OBS_BRIDGE_PUBLIC_URL", "https://studio.example", "obs-bridge.public.url"),
        ("PERFORMANCE_MONITOR_SERVER_URL", "https://studio.example", "performance-monitor.server.url"),
        ("AUTH_ISSUER", "https://studio.example", "auth.issuer"),
        ("AUTH_ISSUER", "http://localhost.studio.example", "auth.issuer"),
        ("AUTH_ISSUER", "http://localhost@studio.example", "auth.issuer"), ("AUTH_ISSUER", "nonsense", "auth.issuer"),
    ])
    func `one that serves others does not, unless it is told to`(variable: String, value: String, key: String) throws {
        let access = try self.access([variable: value])
        #expect(!access.isAllowed)
        #expect(access.exposures == [key])
        #expect(try self.access([variable: value, "HTTP_ANONYMOUS": "true"]).isAllowed)
    }

    @Test func `an address for all services is one for the gateway's listeners`() throws {
        #expect(try self.access(["HTTP_HOST": "0.0.0.0"]).exposures == ["http.host", "gateway.edge.host"])
        #expect(try self.access(["HTTP_HOST": "::", "GATEWAY_EDGE_HOST": "::1"]).exposures == ["http.host"])
    }

    @Test func `it can be switched off, and a word that means neither is refused`() throws {
        #expect(try !self.access(["HTTP_ANONYMOUS": "false"]).isAllowed)
        #expect(try self.access(["HTTP_ANONYMOUS": ""]).isAllowed)
        let error = #expect(throws: ConfigurationError.self) { try self.access(["HTTP_ANONYMOUS": "off"]) }
        #expect(error?.key == "http.anonymous")
    }
}
