import ArgumentParser
import Events
import Foundation
import TestSupport

/// Sends chat lines over WAVE connections, in turn, at the load generator's pace. A line is `bench T0 number N`.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Sends chat lines at the load generator's pace.")

    @Option(help: "The gateway's port for WAVE.")
    var port: Int

    @Option(help: "The file with the senders' credentials, one a line.")
    var tokens: String

    @Option(help: "The stream that they chat in.")
    var stream: String

    @Option(help: "How many senders there are.")
    var senders = 100

    func run() async throws {
        let tokens = try String(contentsOfFile: self.tokens, encoding: .utf8).split(separator: "\n")
        var sockets: [WebSocketClient] = []
        for number in 0..<self.senders {
            let token = tokens[number % tokens.count]
            sockets.append(try await .connect(port: self.port, path: "/v1/streams?api_key=\(token)"))
        }
        try await PacedPublisher().run { [sockets] due in
            for due in due {
                let message: JSON = [
                    "type": "chat.message", "stream_id": .string(self.stream),
                    "message": .string("bench \(due.at) number \(due.number)"),
                ]
                let text = String(decoding: message.bytes, as: UTF8.self)
                try await sockets[due.number % sockets.count].send(text: text)
            }
        }
    }
}
