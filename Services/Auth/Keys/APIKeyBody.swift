import Events
import HTTPTypes
import ServiceKit

/// What somebody sends who wants an API key (contract wave §10).
struct APIKeyBody: CredentialBody {
    static let members: Set<String> = Set(RoomLists.fields.values).union([
        "name", "scopes", "expires_in_days", "tier", "tenant", "kind", "allowed_ips",
    ])

    /// Whose clients the key is for, which shows in its first characters.
    enum Kind: String, Decodable {
        case wave
        case waveTest = "wave_test"
        case grimnir, crosspoint

        var prefix: Secret.Prefix {
            switch self {
            case .wave: .waveKey
            case .waveTest: .waveTestKey
            case .grimnir: .grimnirKey
            case .crosspoint: .apiKey
            }
        }
    }

    var name: String
    var scopes: [String]
    var expires_in_days: Int?
    var tier: Tier?
    var tenant: String?
    var stations: [String]?
    var streams: [String]?
    var cameras: [String]?
    var obs_connections: [String]?
    var kind: Kind?
    var allowed_ips: [String]?

    private static let daysMax = 365
    private static let addressesMax = 50

    /// The key that the asker may make, which ends by `until` at the latest. Throws 400 and 403.
    func record(for asker: Principal, until: Timestamp?) throws(APIFailure) -> APIKeyRecord {
        if let days = self.expires_in_days, !(1...Self.daysMax).contains(days) {
            throw APIFailure(
                .badRequest, "expires_in_days must be from 1 to \(Self.daysMax)", details: ["field": "expires_in_days"])
        }
        let grant: Grant
        do {
            let rooms = RoomLists(
                stations: self.stations, streams: self.streams, cameras: self.cameras,
                obsConnections: self.obs_connections)
            grant = try Grant(
                for: asker, tenant: self.tenant, scope: self.scopes.joined(separator: " "), rooms: rooms,
                timeToLive: self.expires_in_days.map { $0 * 86_400 }, standard: nil, range: 1...Self.daysMax * 86_400,
                until: until)
        } catch {
            // A list here, elsewhere one text.
            var failure = error
            if failure.details["field"] == "scope" { failure.details["field"] = "scopes" }
            throw failure
        }
        let tier = self.tier ?? asker.tier
        guard tier == asker.tier || asker.administersAuth else {
            throw APIFailure(.forbidden, "Another tier needs the scope auth:admin", details: ["field": "tier"])
        }
        if let addresses = self.allowed_ips {
            guard (1...Self.addressesMax).contains(addresses.count),
                addresses.allSatisfy({ $0.utf8.count <= 50 && AddressRange($0) != nil })
            else {
                throw APIFailure(
                    .badRequest,
                    "allowed_ips must be 1 to \(Self.addressesMax) addresses or networks such as 192.0.2.0/24",
                    details: ["field": "allowed_ips"])
            }
        }
        let record = APIKeyRecord(
            id: ULID().text, name: try self.name.requireName(field: "name"), subject: asker.subject, grant: grant,
            tier: tier, allowedAddresses: self.allowed_ips, client: asker.client,
            origin: asker.lineage)
        try asker.requireCoverage(of: record.principal)
        return record
    }
}
