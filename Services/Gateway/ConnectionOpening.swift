import Peers
import ServiceKit
import Threads

/// The beginning of a connection, before TLS and HTTP: who is at its other end, by a PROXY header if there is one.
struct ConnectionOpening {
    let peer: Peer
    /// What was read although it belongs to no PROXY header.
    var leftover: [UInt8] = []

    private static let chunkBytes = 4096

    /// Takes the PROXY header off a connection that begins with one. `nil`: the connection has ended or is to be closed.
    /// - Parameters:
    ///   - address: of the connection's other end.
    ///   - isExact: whether to read no byte that belongs to no header, since TLS wants it from the socket.
    ///   - place: where the connection is counted while it has to wait.
    static func read(
        _ socket: TCPSocket, from address: String, by deadline: ContinuousClock.Instant, isExact: Bool,
        _ check: ProxyHeaderCheck, place: inout PendingHeads.Place
    ) async -> ConnectionOpening? {
        var bytes: [UInt8] = []
        var wanted = ProxyHeader.prefixLength
        func refused(_ refusal: ProxyHeaderCheck.Refusal) -> ConnectionOpening? {
            check.record(refusal, from: address)
            return nil
        }
        while true {
            // The first look leaves the bytes where they are, for they may be the beginning of TLS.
            let isLook = isExact && bytes.isEmpty
            switch socket.read(upTo: isExact ? wanted - bytes.count : Self.chunkBytes, leavesThem: isLook) {
            case .ended: return nil
            case .bytes(let more): bytes += more
            case .wait:
                guard place.wait(as: address) else { return nil }
                switch await SocketPoller.shared.wait(for: socket.descriptor, .readable, timeout: deadline - .now) {
                case .ready: continue
                case .cancelled: return nil
                // Who sends nothing at all is told so in HTTP.
                case .timedOut: return bytes.isEmpty ? Self(peer: Peer(connection: address)) : refused(.incomplete)
                }
            }
            let progress = ProxyHeader.parse(bytes)
            if progress == .absent {
                // What was taken from in front of TLS must not be read as if it had come through TLS.
                guard !isExact || isLook else { return refused(.malformed) }
                return Self(peer: Peer(connection: address), leftover: isLook ? [] : bytes)
            }
            if isLook { _ = socket.read(upTo: bytes.count) }
            switch progress {
            case .absent, .malformed: return refused(.malformed)
            case .incomplete(let length): wanted = length
            case .complete(let header):
                if let refusal = check.refusal(of: header) { return refused(refusal) }
                let peer = Peer(connection: address, carried: header.source)
                return Self(peer: peer, leftover: Array(bytes.dropFirst(header.length)))
            }
            // Also for one that always sends just a little more.
            guard ContinuousClock.now < deadline else { return refused(.incomplete) }
        }
    }
}
