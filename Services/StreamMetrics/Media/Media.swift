import Access
import Database
import DomainService
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle

/// Whether a stream's media comes in.
enum Signal: String, Sendable {
    case live, offline
    /// Its media server cannot be asked.
    case unknown
}

/// All media servers, and the streams that they feed.
struct Media: Sendable {
    private let servers: [MediaServer]
    private let watches: [MediaWatch]
    private let ingest: Ingest
    private let authenticate: Authenticate
    private let isStandby: @Sendable () -> Bool

    /// - Parameter publish: is given each measurement and the stream's tenant.
    init(
        _ service: DomainService, _ streams: Streams, _ config: StreamMetricsConfig,
        publish: @escaping @Sendable (StreamHealth, String) async -> Void
    ) {
        let ingest = Ingest(service, streams, countries: config.countries, grace: config.grace)
        self.servers = config.servers
        self.ingest = ingest
        self.authenticate = service.authenticate
        self.isStandby = { [writer = service.writer] in writer.isStandby }
        self.watches = config.servers.map {
            MediaWatch($0, ingest, unknownMax: config.unknownMax, logger: service.logger, publish: publish)
        }
    }

    func add(to router: Router<APIContext>) {
        MediaAPI(servers: self.servers, watches: self.watches, ingest: self.ingest, authenticate: self.authenticate)
            .add(to: router)
    }

    var duties: [any Service] {
        let asking = self.watches.compactMap { watch in
            watch.server.statistics.map { statistics in
                PeriodicDuty(every: MediaWatch.interval) { [isStandby = self.isStandby] in
                    if isStandby() { await watch.rest() } else { await watch.compare(statistics) }
                }
            }
        }
        return [self.ingest.settling, self.ingest.cleaning(servers: self.servers.map(\.name))] + asking
    }

    func signal(of stream: Stream) async -> Signal {
        guard stream.status == .live else { return .offline }
        guard let encoder = stream.encoder, encoder.hasPrefix(Ingest.encoderPrefix),
            let watch = self.watches.first(where: { $0.server.name == encoder.dropFirst(Ingest.encoderPrefix.count) })
        else { return .live }
        return await watch.isUnknown ? .unknown : .live
    }
}
