import ArgumentParser
import Bus
import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport

/// Creates sources over REST at the load generator's pace, one after the other, and says when each answer and each event came.
///
/// A source's name is `bench T0 number N`. What it adds to its answers, in milliseconds: from the request to its answer and to its
/// event on the bus, median and 99th percentile.
struct SourcesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sources", abstract: "Creates sources over REST at the load generator's pace.")

    @Option(help: "The port of obs-bridge's API; its event socket is one higher.")
    var port: Int

    @Option(help: "A credential with obs:sources.")
    var token: String

    @Flag(help: "Each as soon as the last was answered, not when it is due.")
    var backToBack = false

    private struct Times {
        var sent: [Int: Int64] = [:]
        var answers: [Double] = []
        var events: [Double] = []
    }

    func run() async throws {
        let times = NIOLockedValueBox(Times())
        let endpoints = try BusEndpoints(of: .obsBridge, port: self.port)
        let subscriber = Subscriber(publishers: [.obsBridge: endpoints], logger: quiet) { events, _ in
            let now = PacedPublisher.now
            times.withLockedValue { times in
                for event in events {
                    guard let number = Self.number(of: event), let sent = times.sent.removeValue(forKey: number) else {
                        continue
                    }
                    times.events.append(Double(now - sent) / 1e6)
                }
            }
        }
        try await TestSupport.with(subscriber) {
            while !subscriber.state(of: .obsBridge).isHeard { try await Task.sleep(for: .milliseconds(10)) }
            let connection = try RESTConnection(port: self.port, path: "/api/sources", token: self.token)
            try await PacedPublisher(batchMax: 1, isPaced: !self.backToBack).run { due in
                for due in due { try self.create(due, connection, times) }
            } summary: {
                let (answers, events) = times.withLockedValue { times in
                    defer { times = Times() }
                    return (times.answers.sorted(), times.events.sorted())
                }
                return [("answer", answers), ("bus", events)].flatMap { name, values in
                    [("\(name)_p50", Self.percentile(0.5, values)), ("\(name)_p99", Self.percentile(0.99, values))]
                }
            }
        }
    }

    private func create(
        _ due: PacedPublisher.Due, _ connection: RESTConnection, _ times: NIOLockedValueBox<Times>
    ) throws {
        let body: JSON = [
            "name": .string("bench \(due.at) number \(due.number)"), "url": "https://example.com", "width": 800,
            "height": 600,
        ]
        let sent = PacedPublisher.now
        times.withLockedValue { $0.sent[due.number] = sent }
        let status = try connection.post(body.bytes)
        guard status == 201 else { throw ValidationError("obs-bridge answers \(status)") }
        times.withLockedValue { $0.answers.append(Double(PacedPublisher.now - sent) / 1e6) }
    }

    private static func number(of event: Event) -> Int? {
        JSON(parsing: event.data)?["source"]?["name"]?.string?.split(separator: " ").last.flatMap { Int($0) }
    }

    private static func percentile(_ part: Double, _ sorted: [Double]) -> Double {
        sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(part * Double(sorted.count)))]
    }
}
