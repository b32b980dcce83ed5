import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceKit

/// `POST /api/v1/webhooks/track-start`: a playout system says what it has just put on air (contract grimnir §9).
struct WebhooksAPI {
    let stations: Stations
    let plays: Plays

    /// The Go client that Grimnir recommends reads frames of 32 KiB: the payload and its envelope have to fit.
    private static let payloadBytesMax = 30 * 1024

    func add(to router: Router<APIContext>) {
        router.post("/api/v1/webhooks/track-start") { request, context in
            let principal = try context.requireSomewhere(.radioWrite)
            let payload = try TrackStart(try await Self.body(of: request))
            let station = try await self.stations.station(payload.station, .radioWrite, for: principal)
            try await self.plays.start(payload.bytes, on: station, tenant: principal.tenant)
            return Response.json(["status": "received"], status: .accepted)
        }
    }

    private static func body(of request: Request) async throws -> [UInt8] {
        if let type = request.headers[.contentType], !type.lowercased().hasPrefix("application/json") {
            throw APIFailure(.unsupportedMediaType, "The body must be application/json")
        }
        do {
            return Array(try await request.body.collect(upTo: Self.payloadBytesMax).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw APIFailure(.contentTooLarge, "The body is too large")
        }
    }
}

/// A payload that can be passed on as it came: one JSON object in UTF-8 that names its station.
struct TrackStart {
    let bytes: [UInt8]
    let station: String

    init(_ bytes: [UInt8]) throws(APIFailure) {
        // The decoder would also read UTF-16 and a byte order mark, which a text frame must not hold.
        guard bytes.first.map({ $0 < 0x80 && $0 != 0 }) ?? false, String(validating: bytes, as: UTF8.self) != nil,
            !bytes.contains(0), let object = JSON(parsing: bytes)?.object
        else {
            throw APIFailure(.badRequest, code: "invalid_json", "The body must be a JSON object")
        }
        guard let station = object["station_id"]?.string, !station.isEmpty else {
            throw APIFailure(.badRequest, code: "station_id_required", "station_id is required")
        }
        self.bytes = bytes
        self.station = station
    }
}
