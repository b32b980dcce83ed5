package import Events
package import Foundation
import FoundationXML
import HTTPTypes
package import Requests

/// nginx with its RTMP module: `on_publish`, `on_publish_done`, `on_play`, `on_play_done`, `on_record_done` and `on_update` as forms,
/// `rtmp_stat all` as XML.
package struct NginxRTMP: MediaAdapter {
    /// It counts connections from 1 again when it is started again.
    package let hasUniqueSessions = false

    package var acceptance: String { "" }

    package init() {}

    package func call(_ request: HookRequest) throws(APIFailure) -> MediaCall? {
        let form = try request.form()
        // Behind its own fields nginx writes the query of whoever publishes or plays, whatever it says.
        guard form.repeated.isDisjoint(with: ["call", "name", "clientid", "addr", "path", "flashver"]) else {
            throw APIFailure(.badRequest, "A field comes more than once")
        }
        let (name, session) = (try form.require("name"), try form.require("clientid"))
        let action: MediaCall.Action? =
            switch try form.require("call") {
            case "publish": .publish
            case "publish_done": .unpublish
            case "play": .play
            case "play_done": .stop
            case "update_publish": .alive(.publish)
            case "update_play": .alive(.play)
            case "record_done": .recorded(try form.require("path"))
            default: nil
            }
        return action.map {
            MediaCall(
                $0, name: name, session: session, address: form["addr"], agent: form["flashver"], key: form["key"])
        }
    }

    package func snapshot(
        from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> MediaSnapshot {
        try Self.snapshot(try await fetch(url, "application/xml, text/xml"), at: .now)
    }

    /// - Parameter moment: when it was said; it tells how long ago somebody began.
    package static func snapshot(_ bytes: [UInt8], at moment: Timestamp) throws -> MediaSnapshot {
        let page = StatisticsPage()
        // Names stand in it as publishers wrote them, and FoundationXML traps on an element's name that is not UTF-8.
        let parser = XMLParser(data: Data(String(decoding: bytes, as: UTF8.self).utf8))
        parser.delegate = page
        guard parser.parse(), page.isComplete else { throw NoStatistics(description: "not a page of rtmp_stat") }
        var snapshot = MediaSnapshot()
        for stream in page.streams {
            for client in stream.clients {
                let startedAt = MediaSnapshot.start(client["time"].flatMap { Double($0) }, before: moment)
                guard let session = client["id"] else { continue }
                let (address, agent) = (client["address"], client["flashver"])
                if client["publishing"] != nil {
                    snapshot.publishers.append(
                        .init(
                            name: stream.name, session: session, startedAt: startedAt, address: address, agent: agent,
                            bytes: stream.values["bytes_in"].flatMap { Int64($0) } ?? 0, frames: nil,
                            fps: stream.values["frame_rate"].flatMap { Double($0) }.flatMap {
                                $0.isFinite && $0 > 0 ? $0 : nil
                            }))
                } else {
                    snapshot.players.append(
                        .init(
                            name: stream.name, session: session, startedAt: startedAt, address: address, agent: agent))
                }
            }
        }
        return snapshot
    }
}

/// Puts the streams and clients of an `rtmp_stat` page together.
private final class StatisticsPage: NSObject, XMLParserDelegate {
    struct Stream {
        var name = ""
        var values: [String: String] = [:]
        var clients: [[String: String]] = []
    }

    private(set) var streams: [Stream] = []
    /// Whether it was a page of statistics to its end.
    private(set) var isComplete = false

    private var path: [String] = []
    private var text = ""
    private var stream: Stream?
    private var client: [String: String]?

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        self.path.append(name)
        self.text = ""
        switch name {
        case "stream" where self.path.contains("live"): self.stream = Stream()
        case "client" where self.stream != nil: self.client = [:]
        default: break
        }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) { self.text += string }
    func parser(_ parser: XMLParser, foundCDATA data: Data) { self.text += String(decoding: data, as: UTF8.self) }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        self.path.removeLast()
        switch name {
        case "client":
            if let client = self.client { self.stream?.clients.append(client) }
            self.client = nil
        case "stream":
            if let stream = self.stream { self.streams.append(stream) }
            self.stream = nil
        case "rtmp": self.isComplete = self.path.isEmpty
        default:
            let value = self.text.trimmingCharacters(in: .whitespacesAndNewlines)
            if self.client != nil {
                self.client?[name] = value
            } else if name == "name", self.path.last == "stream" {
                self.stream?.name = value
            } else {
                self.stream?.values[name] = value
            }
        }
        self.text = ""
    }
}
