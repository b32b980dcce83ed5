package import Events
package import Foundation
import HTTPTypes
package import Requests

/// SRS (Simple Realtime Server): `on_publish`, `on_unpublish`, `on_play`, `on_stop` and `on_dvr` as JSON, its HTTP API for what is there.
package struct SRS: MediaAdapter {
    package let hasUniqueSessions = true

    /// It takes the number 0 for a yes, and anything else, or another status, for a no.
    package var acceptance: String { "0" }

    package init() {}

    private static let pageSize = 1000
    private static let pagesMax = 100

    package func call(_ request: HookRequest) throws(APIFailure) -> MediaCall? {
        let members = try request.object()
        func text(_ name: String) throws(APIFailure) -> String {
            guard let text = members[name]?.string, !text.isEmpty, !text.utf8.contains(0) else {
                throw APIFailure(.badRequest, "\(name) is required")
            }
            return text
        }
        let action: MediaCall.Action? =
            switch try text("action") {
            case "on_publish": .publish
            case "on_unpublish": .unpublish
            case "on_play": .play
            case "on_stop": .stop
            case "on_dvr": .recorded(try text("file"))
            default: nil
            }
        guard let action else { return nil }
        let parameters = try FormParameters((members["param"]?.string ?? "").drop { $0 == "?" }.utf8)
        return MediaCall(
            action, name: try text("stream"), session: try text("client_id"), address: members["ip"]?.string,
            key: parameters["key"])
    }

    package func snapshot(
        from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> MediaSnapshot {
        let streams = try await Self.list("streams", from: url, fetch)
        let clients = try await Self.list("clients", from: url, fetch)
        return Self.snapshot(streams: streams, clients: clients, at: .now)
    }

    /// All pages of a list.
    private static func list(
        _ name: String, from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> [[String: JSON]] {
        var found: [[String: JSON]] = []
        for page in 0..<Self.pagesMax {
            let place = url.appending(path: "api/v1/\(name)/").appending(queryItems: [
                URLQueryItem(name: "start", value: "\(page * Self.pageSize)"),
                URLQueryItem(name: "count", value: "\(Self.pageSize)"),
            ])
            let answer = JSON(parsing: try await fetch(place, "application/json"), duplicates: .refused)
            guard answer?["code"]?.double == 0, let list = answer?[name]?.array else {
                throw NoStatistics(description: "not a list of \(name)")
            }
            found += list.compactMap(\.object)
            if list.count < Self.pageSize { break }
        }
        return found
    }

    package static func snapshot(
        streams: [[String: JSON]], clients: [[String: JSON]], at moment: Timestamp
    ) -> MediaSnapshot {
        var snapshot = MediaSnapshot()
        let byID = Dictionary(
            streams.compactMap { stream in stream["id"]?.string.map { ($0, stream) } },
            uniquingKeysWith: { one, _ in one })
        var alive: [String: [String: JSON]] = [:]
        for client in clients {
            guard let id = client["id"]?.string else { continue }
            alive[id] = client
            guard client["publish"]?.bool != true, let stream = client["stream"]?.string.flatMap({ byID[$0] }),
                let name = stream["name"]?.string
            else { continue }
            snapshot.players.append(
                .init(
                    name: name, session: id, startedAt: Self.start(of: client, moment),
                    address: client["ip"]?.string))
        }
        for stream in streams {
            guard let name = stream["name"]?.string, stream["publish"]?["active"]?.bool == true,
                let session = stream["publish"]?["cid"]?.string
            else { continue }
            snapshot.publishers.append(
                .init(
                    name: name, session: session, startedAt: alive[session].flatMap { Self.start(of: $0, moment) },
                    address: alive[session]?["ip"]?.string,
                    bytes: stream["recv_bytes"]?.integer ?? 0,
                    frames: stream["frames"]?.integer))
        }
        return snapshot
    }

    private static func start(of client: [String: JSON], _ moment: Timestamp) -> Timestamp? {
        MediaSnapshot.start(client["alive"]?.double.map { $0 * 1000 }, before: moment)
    }
}
