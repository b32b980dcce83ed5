import Bus
import Database
import Events
import Foundation
import ServiceKit
import TestSupport
import Testing

extension Suite {
    /// Sends a command over the bus, as another process of the suite would.
    /// - Parameter role: whose key it proves; one that may send the command unless given.
    func call<C: Command>(_ command: C, as role: BusRole? = nil) async throws -> C.Answer {
        let asker = role ?? (C.askers.contains(.gateway) ? .gateway : .suite)
        let client = CommandClient(
            endpoints: [C.service: self.endpoints(of: C.service, try self.bus.keys(asker))], logger: quiet)
        return try await TestSupport.with(client) { try await client.call(command) }
    }

    /// Where a service is on the bus, for a process with these keys.
    func endpoints(of service: ServiceName, _ keys: BusKeys?) -> BusEndpoints {
        let events = self.port(service) + 1
        return BusEndpoints(
            events: "tcp://127.0.0.1:\(events)", commands: "tcp://127.0.0.1:\(events + 1)", keys: keys,
            role: service.busRole)
    }
}

/// The keys of a suite's bus, and the files that they are in.
struct TestBus: Sendable {
    let peersFile: URL
    private let folder: URL
    private let pairs: [BusRole: BusKey]
    private let peers: BusPeers

    init(in home: URL) throws {
        self.folder = home.appending(path: "bus")
        self.peersFile = self.folder.appending(path: "peers")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        var pairs: [BusRole: BusKey] = [:]
        for role in BusRole.allCases {
            let secret = (0..<32).map { _ in UInt8.random(in: 0...255) }
            pairs[role] = BusKey(secret: secret)
            try Hex.encode(secret).write(
                to: self.folder.appending(path: Self.fileName(of: role)), atomically: true, encoding: .utf8)
        }
        self.pairs = pairs
        let halves = BusRole.allCases.map { pairs[$0]?.publicKey ?? [] }
        self.peers = BusPeers(suite: halves[0], auth: halves[1], gateway: halves[2])
        try self.peers.text.write(to: self.peersFile, atomically: true, encoding: .utf8)
    }

    func keyFile(_ role: BusRole) -> URL { self.folder.appending(path: Self.fileName(of: role)) }

    private static func fileName(of role: BusRole) -> String { "\(role.rawValue).key" }

    func keys(_ role: BusRole) throws -> BusKeys {
        try #require(self.pairs[role].flatMap { BusKeys($0, peers: self.peers) })
    }
}

/// Auth's own tables, to see what it keeps and to move its clock.
enum AuthTables {
    @discardableResult
    static func query(_ url: String, _ query: Query) async throws -> [Row] {
        let database = Database(DatabaseConfiguration(url: url, schema: "auth", connections: 1), logger: quiet)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            defer { group.cancelAll() }
            return try await database.query(query)
        }
    }
}
