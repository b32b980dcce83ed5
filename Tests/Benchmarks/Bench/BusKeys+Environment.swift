import ArgumentParser
import Bus
import Events
import Foundation

extension BusKeys {
    /// Those in the files that `BUS_KEY_FILE` and `BUS_PEERS_FILE` name, as a service reads them. `nil`: the bus is open.
    static func ofEnvironment() throws -> BusKeys? {
        let environment = ProcessInfo.processInfo.environment
        guard let keyFile = environment["BUS_KEY_FILE"], let peersFile = environment["BUS_PEERS_FILE"] else {
            return nil
        }
        let digits = Array(try String(contentsOfFile: keyFile, encoding: .utf8).filter(\.isHexDigit))
        let secret = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(digits[$0...($0 + 1)]), radix: 16)
        }
        guard secret.count == 32, let peers = BusPeers(text: try String(contentsOfFile: peersFile, encoding: .utf8)),
            let keys = BusKeys(BusKey(secret: secret), peers: peers)
        else { throw ValidationError("the bus keys of \(keyFile) and \(peersFile) cannot be used") }
        return keys
    }
}

extension BusEndpoints {
    /// A service's of the suite on this machine.
    /// - Parameter port: of its API.
    init(of service: ServiceName, port: Int) throws {
        self.init(
            events: "tcp://127.0.0.1:\(port + 1)", commands: "tcp://127.0.0.1:\(port + 2)",
            keys: try .ofEnvironment(), role: service.busRole)
    }
}
