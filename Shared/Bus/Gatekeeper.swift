import CZeroMQ
import Threads

/// Answers a context's question who may connect (ZAP, ZeroMQ RFC 27), on a thread that ends with the context: peers with the suite's
/// own key.
enum Gatekeeper {
    /// Where libzmq asks.
    private static let endpoint = "inproc://zeromq.zap.01"

    static func start(in context: Context, admitting key: BusKey) throws(BusError) {
        let socket = try Socket(.rep, in: context, holdsContext: false)
        try socket.bind(Self.endpoint)
        let handover = SocketHandover(socket)
        _ = WorkerThread(name: "gatekeeper") {
            // `try?`: it fails when the context ends, and so does the work.
            try? Self.serve(handover.take(), key)
        }
    }

    private static func serve(_ socket: Socket, _ key: BusKey) throws(BusError) {
        var poll = Poll([socket])
        while true {
            try poll.wait(timeout: .seconds(60))
            while let question = try socket.receive() {
                _ = try socket.send(Self.answer(question, key))
            }
        }
    }

    /// - Parameter question: version, request, domain, address, identity, mechanism, credentials.
    /// - Returns: version, request, status, text, user, metadata.
    static func answer(_ question: [[UInt8]], _ key: BusKey) -> [[UInt8]] {
        let isOurs = question.count == 7 && question[5] == Array("CURVE".utf8) && question[6] == key.publicKey
        let (status, text) = isOurs ? ("200", "OK") : ("400", "not of this suite")
        return [
            Array("1.0".utf8), question.count > 1 ? question[1] : [], Array(status.utf8), Array(text.utf8), [], [],
        ]
    }
}
