import Crypto
import Events
import ForeignMessages
import Foundation
import ServiceKit

/// A media server whose hooks we take and whose statistics we read.
struct MediaServer: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case nginxRTMP = "nginx-rtmp"
        case srs, mediamtx
    }

    /// Stands in the path of its hooks: lower-case letters, digits and `-`.
    let name: String
    let kind: Kind
    /// Where its statistics are; `nil`: only its hooks count.
    let statistics: URL?
    /// The log of sessions that nginx writes, for the exact ends of those that ended while nobody listened.
    let log: String?
    private let secret: SHA256Digest

    var adapter: any MediaAdapter {
        switch self.kind {
        case .nginxRTMP: NginxRTMP()
        case .srs: SRS()
        case .mediamtx: MediaMTX()
        }
    }

    func accepts(_ secret: String) -> Bool { SHA256.hash(data: Array(secret.utf8)) == self.secret }

    init(name: String, kind: Kind, secret: String, statistics: URL? = nil, log: String? = nil) {
        self.name = name
        self.kind = kind
        self.statistics = statistics
        self.log = log
        self.secret = SHA256.hash(data: Array(secret.utf8))
    }

    // MARK: configuration

    private struct Entry: Decodable {
        let name: String
        let kind: String
        let secret: String
        let statistics: String?
        let log: String?
    }

    static let fileKey = "stream-metrics.media.servers.file"

    /// The servers of a JSON list: `name`, `kind`, `secret`, and where there is one `statistics` (a URL) and `log` (a path).
    static func read(_ bytes: [UInt8]) throws(ConfigurationError) -> [MediaServer] {
        let entries: [Entry]
        do {
            entries = try JSON.decode([Entry].self, from: bytes)
        } catch {
            throw Self.wrong("must be a list of servers with name, kind and secret: \(error)")
        }
        var servers: [MediaServer] = []
        for entry in entries {
            guard (1...64).contains(entry.name.utf8.count),
                entry.name.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 45 })
            else { throw Self.wrong("name must be 1 to 64 lower-case letters, digits and '-': \(entry.name)") }
            guard !servers.contains(where: { $0.name == entry.name }) else {
                throw Self.wrong("names \(entry.name) twice")
            }
            guard let kind = Kind(rawValue: entry.kind) else {
                let kinds = Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw Self.wrong("kind of \(entry.name) must be one of \(kinds)")
            }
            guard entry.secret.utf8.count >= 16 else {
                throw Self.wrong("secret of \(entry.name) must have at least 16 characters")
            }
            var statistics: URL?
            if let text = entry.statistics {
                guard let url = URL(string: text), ["http", "https"].contains(url.scheme), url.host() != nil else {
                    throw Self.wrong("statistics of \(entry.name) must be an http or https URL")
                }
                statistics = url
            }
            guard entry.log == nil || kind == .nginxRTMP else {
                throw Self.wrong("log of \(entry.name): only nginx-rtmp writes one")
            }
            servers.append(
                MediaServer(
                    name: entry.name, kind: kind, secret: entry.secret, statistics: statistics, log: entry.log))
        }
        return servers
    }

    private static func wrong(_ problem: String) -> ConfigurationError {
        ConfigurationError(key: Self.fileKey, problem: problem)
    }
}
