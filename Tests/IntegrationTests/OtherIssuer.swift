import Crypto
import CryptoExtras
import Events
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// An issuer of somebody else's: signs tokens, and serves its public keys over HTTP, or something else in their place.
final class OtherIssuer: Sendable {
    enum Answer: Sendable {
        case text(String, status: HTTPResponseStatus = .ok)
        case redirect(String)
        /// Nothing, ever.
        case silence
    }

    enum Key: Sendable {
        case rsa(_RSA.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)

        static func newRSA() throws -> Key { .rsa(try _RSA.Signing.PrivateKey(keySize: .bits2048)) }
        static func newP256() -> Key { .p256(P256.Signing.PrivateKey()) }

        var algorithm: String {
            switch self {
            case .rsa: "RS256"
            case .p256: "ES256"
            }
        }

        func document(kid: String) throws -> JSON {
            switch self {
            case .rsa(let key):
                let parts = try key.publicKey.getKeyPrimitives()
                return [
                    "kty": "RSA", "kid": .string(kid), "use": "sig", "n": .string(OtherIssuer.base64URL(parts.modulus)),
                    "e": .string(OtherIssuer.base64URL(parts.publicExponent)),
                ]
            case .p256(let key):
                let raw = key.publicKey.rawRepresentation
                return [
                    "kty": "EC", "crv": "P-256", "kid": .string(kid), "alg": "ES256",
                    "x": .string(OtherIssuer.base64URL(raw.prefix(32))),
                    "y": .string(OtherIssuer.base64URL(raw.suffix(32))),
                ]
            }
        }

        func sign(_ bytes: Data) throws -> Data {
            switch self {
            case .rsa(let key):
                try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5).rawRepresentation
            case .p256(let key): try key.signature(for: bytes).rawRepresentation
            }
        }
    }

    private let channel: any Channel
    private let answer: NIOLockedValueBox<Answer>
    private let count: NIOLockedValueBox<Int>

    /// Serves while the body runs.
    static func with(_ body: (OtherIssuer) async throws -> Void) async throws {
        let (answer, count) = (NIOLockedValueBox(Answer.text("{}")), NIOLockedValueBox(0))
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Answerer(answer, count))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let issuer = OtherIssuer(channel, answer, count)
        do {
            try await body(issuer)
        } catch {
            try? await channel.close()
            throw error
        }
        try? await channel.close()
    }

    private init(_ channel: any Channel, _ answer: NIOLockedValueBox<Answer>, _ count: NIOLockedValueBox<Int>) {
        self.channel = channel
        self.answer = answer
        self.count = count
    }

    var url: String { "http://127.0.0.1:\(self.channel.localAddress?.port ?? 0)" }
    /// How often it was asked.
    var asked: Int { self.count.withLockedValue { $0 } }

    func serve(_ answer: Answer) { self.answer.withLockedValue { $0 = answer } }

    func serve(_ keys: [String: Key]) throws {
        let documents = try keys.sorted { $0.key < $1.key }.map { try $0.value.document(kid: $0.key) }
        let set: JSON = ["keys": .array(documents)]
        self.serve(.text(String(decoding: set.bytes, as: UTF8.self)))
    }

    /// An entry of `auth.issuers.file`.
    func entry(_ changes: [String: JSON] = [:]) -> JSON {
        let entry: [String: JSON] = [
            "issuer": .string(self.url), "name": "other", "jwks_url": .string(self.url + "/keys"),
            "audience": "crosspoint-test", "algorithms": ["RS256", "ES256"], "tenants": ["default"],
            "rules": [
                ["claim": "groups", "value": "crew", "scope": "keys:write"],
                ["claim": "email", "value": "*", "scope": "streams:read"],
            ],
        ]
        return .object(entry.merging(changes) { $1 })
    }

    func token(
        _ key: Key, kid: String, _ changes: [String: JSON] = [:], type: JSON = "at+jwt"
    ) throws -> String {
        let now = Int64(Date().timeIntervalSince1970)
        let claims: [String: JSON] = [
            "iss": .string(self.url), "sub": "ada", "aud": "crosspoint-test", "iat": .integer(now),
            "exp": .integer(now + 300), "groups": ["crew"], "email": "ada@example.com",
        ]
        let header: JSON = ["alg": .string(key.algorithm), "kid": .string(kid), "typ": type]
        let parts = [header, .object(claims.merging(changes) { $1 })].map { Self.base64URL(Data($0.bytes)) }
        let signed = parts.joined(separator: ".")
        return "\(signed).\(Self.base64URL(try key.sign(Data(signed.utf8))))"
    }

    private static func base64URL(_ bytes: Data) -> String {
        bytes.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private final class Answerer: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: NIOLockedValueBox<Answer>
        private let count: NIOLockedValueBox<Int>

        init(_ answer: NIOLockedValueBox<Answer>, _ count: NIOLockedValueBox<Int>) {
            self.answer = answer
            self.count = count
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .end = self.unwrapInboundIn(data) else { return }
            self.count.withLockedValue { $0 += 1 }
            switch self.answer.withLockedValue({ $0 }) {
            case .silence: break
            case .text(let text, let status): self.write(context, status, [:], text)
            case .redirect(let url): self.write(context, .found, ["Location": url], "")
            }
        }

        private func write(
            _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ more: HTTPHeaders, _ text: String
        ) {
            let body = ByteBuffer(string: text)
            var headers = more
            headers.add(name: "Content-Length", value: "\(body.readableBytes)")
            headers.add(name: "Connection", value: "close")
            context.write(
                self.wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))),
                promise: nil)
            context.write(self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
