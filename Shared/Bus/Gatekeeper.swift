import CZeroMQ
import Events
import Threads

/// Answers a context's question who may connect (ZAP, ZeroMQ RFC 27), on a thread that ends with the context: peers that prove one of
/// the suite's roles, which becomes the `User-Id` of their messages.
enum Gatekeeper {
    /// Where libzmq asks.
    private static let endpoint = "inproc://zeromq.zap.01"

    static func start(in context: Context, admitting peers: BusPeers) throws(BusError) {
        let socket = try Socket(.rep, in: context, holdsContext: false)
        try socket.bind(Self.endpoint)
        let handover = SocketHandover(socket)
        _ = WorkerThread(name: "gatekeeper") {
            // `try?`: it fails when the context ends, and so does the work.
            try? Self.serve(handover.take(), peers)
        }
    }

    private static func serve(_ socket: Socket, _ peers: BusPeers) throws(BusError) {
        var poll = Poll([socket])
        while true {
            try poll.wait(timeout: .seconds(60))
            while let question = try socket.receive() {
                _ = try socket.send(Self.answer(question, peers))
            }
        }
    }

    /// - Parameter question: version, request, domain, address, identity, mechanism, credentials.
    /// - Returns: version, request, status, text, user, metadata.
    static func answer(_ question: [[UInt8]], _ peers: BusPeers) -> [[UInt8]] {
        let isCurve = question.count == 7 && question[5] == Array("CURVE".utf8)
        let role = isCurve ? peers.role(of: question[6]) : nil
        let (status, text) = role == nil ? ("400", "not of this suite") : ("200", "OK")
        return [
            Array("1.0".utf8), question.count > 1 ? question[1] : [], Array(status.utf8), Array(text.utf8),
            Array((role?.rawValue ?? "").utf8), [],
        ]
    }
}
