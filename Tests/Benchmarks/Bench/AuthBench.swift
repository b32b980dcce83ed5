import Access
import ArgumentParser
import Bus
import Crypto
import Events
import Foundation
import JWTKit
import Logging
import TestSupport

/// What it costs to know who somebody is: access tokens verified on one core, and introspections over the bus.
struct AuthBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "auth", abstract: "Verifications and introspections a second.")

    @Option(help: "The suite's first port.")
    var base = 3000

    @Option(help: "The file with the owner's key.")
    var ownerKeyFile: String

    @Option(help: "Rounds, of which the median counts.")
    var rounds = 5

    @Option(help: "Distinct credentials of each kind.")
    var credentials = 1000

    @Option(help: "Introspections under way at once.")
    var concurrency = 32

    private var port: Int { self.base + 20 }

    func run() async throws {
        let commands = try BusEndpoints(of: .auth, port: self.port)
        let client = CommandClient(endpoints: [.auth: commands], logger: quiet)
        try await TestSupport.with(client) {
            let owner = try String(contentsOfFile: self.ownerKeyFile, encoding: .utf8)
            let mint = TokenMint(port: self.port, ownerKey: owner, concurrency: self.concurrency)
            let tokens = try await mint.mint(self.credentials, type: "jwt")
            let keys = try await mint.mint(self.credentials, type: "apikey")
            print(Measurement.header)
            for measurement in try await self.verifications(tokens, client) { print(measurement.row) }
            for measurement in try await self.introspections(keys, client) { print(measurement.row) }
        }
    }

    // MARK: access tokens, one after the other

    private func verifications(_ tokens: [String], _ client: CommandClient) async throws -> [Measurement] {
        let answer = try await client.call(FetchKeys())
        let signed = try Signed(tokens, jwks: answer.jwks)
        let collection = JWTKeyCollection()
        try await collection.add(jwksJSON: answer.jwks)
        var (curve, library) = (
            Measurement("P-256 and SHA-256 alone (swift-crypto)"), Measurement("jwt-kit, our claims")
        )
        var parsing = Measurement("jwt-kit's parser alone: base64 and JSON")
        var (first, again) = (
            Measurement("verifier, a token for the first time"), Measurement("verifier, a token that it knows")
        )
        for _ in 0..<self.rounds {
            try await curve.round(of: tokens.count) { try signed.verify() }
            try await library.round(of: tokens.count) {
                for token in tokens { _ = try await collection.verify(token, as: AccessTokenClaims.self) }
            }
            let parser = DefaultJWTParser()
            try await parsing.round(of: tokens.count) {
                for token in tokens { _ = try parser.parse(Array(token.utf8), as: AccessTokenClaims.self) }
            }
            let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
            // Its keys, which come with the first token.
            _ = try await verifier.verify(tokens[0], remoteAddress: nil)
            try await first.round(of: tokens.count - 1) {
                for token in tokens.dropFirst() { _ = try await verifier.verify(token, remoteAddress: nil) }
            }
            try await again.round(of: tokens.count) {
                for token in tokens { _ = try await verifier.verify(token, remoteAddress: nil) }
            }
        }
        return [curve, parsing, library, first, again]
    }

    // MARK: API keys

    private func introspections(_ keys: [String], _ client: CommandClient) async throws -> [Measurement] {
        var (alone, many) = (
            Measurement("introspection over the bus, one at a time"),
            Measurement("introspection over the bus, \(self.concurrency) at once")
        )
        var remembered = Measurement("introspection, remembered")
        for _ in 0..<self.rounds {
            let few = keys.prefix(200)
            try await alone.round(of: few.count) {
                for key in few { _ = try await client.call(Introspect(token: key, remoteAddress: nil)) }
            }
            try await many.round(of: keys.count) {
                _ = try await concurrently(keys, max: self.concurrency) {
                    try await client.call(Introspect(token: $0, remoteAddress: nil))
                }
            }
            let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
            for key in keys { _ = try await verifier.verify(key, remoteAddress: nil) }
            try await remembered.round(of: keys.count) {
                for key in keys { _ = try await verifier.verify(key, remoteAddress: nil) }
            }
        }
        return [alone, many, remembered]
    }
}

/// Tokens taken apart beforehand, so that nothing but the signature is measured.
private struct Signed {
    private let parts: [(signature: P256.Signing.ECDSASignature, message: Data)]
    private let key: P256.Signing.PublicKey

    init(_ tokens: [String], jwks: String) throws {
        guard let key = JSON(parsing: Array(jwks.utf8))?["keys"]?.array?.first,
            let x = key["x"]?.string.flatMap(Self.decode), let y = key["y"]?.string.flatMap(Self.decode)
        else { throw ValidationError("auth has no key") }
        self.key = try P256.Signing.PublicKey(rawRepresentation: x + y)
        self.parts = try tokens.map { token in
            let end = token.lastIndex(of: ".") ?? token.endIndex
            let signature = Self.decode(String(token[token.index(after: end)...])) ?? Data()
            return (try P256.Signing.ECDSASignature(rawRepresentation: signature), Data(token[..<end].utf8))
        }
    }

    func verify() throws {
        for part in self.parts where !self.key.isValidSignature(part.signature, for: part.message) {
            throw ValidationError("a signature is not valid")
        }
    }

    private static func decode(_ text: String) -> Data? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4))
    }
}
