import Access
import ArgumentParser
import Bus
import Events
import Foundation
import TestSupport

/// How many access tokens of a file a verifier takes a second when it sees each for the first time.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Access tokens a second that are verified for the first time.")

    @Option(help: "The port of auth's API; its command socket is two higher.")
    var port: Int

    @Argument(help: "The file, a token a line.")
    var file: String

    func run() async throws {
        let tokens = try String(contentsOfFile: self.file, encoding: .utf8).split(separator: "\n").map(String.init)
        let endpoints = try BusEndpoints(of: .auth, port: self.port)
        let client = CommandClient(endpoints: [.auth: endpoints], logger: quiet)
        try await TestSupport.with(client) {
            let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
            // Auth's keys come with the first, and the first ones meet cold code.
            let (cold, measured) = (tokens.prefix(tokens.count / 10), tokens.dropFirst(tokens.count / 10))
            for token in cold { _ = try await verifier.verify(token, remoteAddress: nil) }
            let start = ContinuousClock.now
            for token in measured { _ = try await verifier.verify(token, remoteAddress: nil) }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            say(["per_second": .number(Double(measured.count) / seconds)])
        }
    }
}
