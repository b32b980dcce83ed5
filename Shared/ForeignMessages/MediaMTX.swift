import Events
package import Foundation
import HTTPTypes
package import Requests

/// MediaMTX: asks over HTTP who may publish, tells by hook commands (`runOnReady`, `runOnNotReady`, `runOnRead`, `runOnUnread`,
/// `runOnRecordSegmentComplete`) what becomes of it, and has an API for what is there.
package struct MediaMTX: MediaAdapter {
    package let hasUniqueSessions = true

    package var acceptance: String { "" }

    package init() {}

    private static let pageSize = 1000
    private static let pagesMax = 100

    package func call(_ request: HookRequest) throws(APIFailure) -> MediaCall? {
        // A question is JSON, what a hook's command posts a form.
        if request.body.first == UInt8(ascii: "{") { return try Self.question(try request.object()) }
        let form = try request.form()
        let name = MediaCall.name(of: try form.require("path"))
        func told(_ action: MediaCall.Action, _ session: String) throws(APIFailure) -> MediaCall {
            MediaCall(action, name: name, session: try form.require(session), isAuthorized: true)
        }
        switch try form.require("action") {
        case "ready": return try told(.publish, "source")
        case "notReady": return try told(.unpublish, "source")
        case "read": return try told(.play, "reader")
        case "unread": return try told(.stop, "reader")
        case "recorded":
            return MediaCall(.recorded(try form.require("file")), name: name, session: "", isAuthorized: true)
        default: return nil
        }
    }

    private static func question(_ members: [String: JSON]) throws(APIFailure) -> MediaCall? {
        guard let action = members["action"]?.string, let path = members["path"]?.string else {
            throw APIFailure(.badRequest, "action and path are required")
        }
        guard action == "publish" else {
            // Whoever may use its API may have it run commands.
            let isLocal = ["127.0.0.1", "::1"].contains(members["ip"]?.string)
            guard ["read", "playback"].contains(action) || isLocal else {
                throw APIFailure(.forbidden, "Only this machine may do that")
            }
            return nil
        }
        let query = try FormParameters((members["query"]?.string ?? "").utf8)
        // An encoder shows its key in the query, or where its protocol has a place for it.
        let key = query["key"] ?? ["token", "password"].lazy.compactMap { members[$0]?.string }.first { !$0.isEmpty }
        return MediaCall(
            .mayPublish, name: MediaCall.name(of: path), session: members["id"]?.string ?? "",
            address: members["ip"]?.string, agent: members["userAgent"]?.string, key: key)
    }

    package func snapshot(
        from url: URL, _ fetch: @Sendable (_ url: URL, _ accept: String) async throws -> [UInt8]
    ) async throws -> MediaSnapshot {
        var snapshot = MediaSnapshot()
        for page in 0..<Self.pagesMax {
            let place = url.appending(path: "v3/paths/list").appending(queryItems: [
                URLQueryItem(name: "page", value: "\(page)"),
                URLQueryItem(name: "itemsPerPage", value: "\(Self.pageSize)"),
            ])
            let answer = JSON(parsing: try await fetch(place, "application/json"), duplicates: .refused)
            guard let items = answer?["items"]?.array else { throw NoStatistics(description: "not a list of paths") }
            for item in items { Self.add(item, to: &snapshot) }
            if Double(page + 1) >= answer?["pageCount"]?.double ?? 0 { break }
        }
        return snapshot
    }

    static func add(_ item: JSON, to snapshot: inout MediaSnapshot) {
        guard let name = item["name"]?.string.map({ MediaCall.name(of: $0) }) else { return }
        if item["ready"]?.bool == true, let session = item["source"]?["id"]?.string {
            snapshot.publishers.append(
                .init(
                    name: name, session: session,
                    startedAt: item["readyTime"]?.string.flatMap { Timestamp(iso8601: $0) },
                    bytes: item["bytesReceived"]?.integer ?? 0))
        }
        for reader in item["readers"]?.array ?? [] {
            guard let session = reader["id"]?.string else { continue }
            snapshot.players.append(.init(name: name, session: session))
        }
    }
}
