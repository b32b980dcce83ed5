import Events
import TestSupport
import Testing

/// Each flow of auth as standard libraries do it: Python's authlib, requests-oauthlib, joserfc, PyJWT and websockets. None of them knows
/// Crosspoint; where they accept what it says, other people's clients do.
@Suite(
    "Standard clients", .enabled(if: Suite.isEnabled, Suite.reason),
    .enabled(if: PythonClient.interpreter != nil, "needs Python packages: ./crosspoint test"), .serialized)
struct StandardClientTests {
    /// Runs the flow; then no process has logged what it kept secret.
    private static func complete(
        _ flow: String, _ services: [ServiceName] = [.auth, .streamMetrics], gateways: Int = 0, parts: Int
    ) async throws {
        try await Suite.with(services, gateways: gateways, environment: ["LOG_LEVEL": "trace"]) { suite in
            let report = try await PythonClient.run(flow, against: suite)
            #expect(report.checked.count == parts, "\(report.checked)")
            let processes = services.map(\.rawValue) + (0..<gateways).map { "gateway-\($0)" }
            for process in processes {
                let log = suite.log(process)
                #expect(!log.isEmpty)
                #expect(!log.contains(#""level":"error""#), "\(process)")
                for secret in report.secrets where log.contains(secret) {
                    Issue.record("\(process) has logged a secret: \(secret.prefix(12))…")
                }
            }
        }
    }

    @Test func `client credentials`() async throws { try await Self.complete("client_credentials", parts: 10) }

    @Test func `authorization code with PKCE, through the login and consent pages`() async throws {
        try await Self.complete("authorization_code", parts: 8)
    }

    @Test func `refresh tokens, their rotation, and their reuse`() async throws {
        try await Self.complete("refresh", parts: 5)
    }

    @Test func `introspection`() async throws { try await Self.complete("introspection", parts: 8) }

    @Test func `revocation`() async throws { try await Self.complete("revocation", parts: 7) }

    @Test func `discovery`() async throws { try await Self.complete("discovery", [.auth], parts: 3) }

    @Test func `access tokens verified from the JWKS, over a rotation`() async throws {
        try await Self.complete("jwks", parts: 4)
    }

    @Test func `Grimnir's sign-in and refresh`() async throws {
        try await Self.complete("grimnir", [.auth, .radioPlayout], gateways: 1, parts: 4)
    }

    @Test func `tickets in every dialect`() async throws {
        try await Self.complete("tickets", ServiceName.publishers, gateways: 1, parts: 8)
    }
}
