import Events
internal import FoundationEssentials

/// Messages that an Airys client sends in pieces (contract §8): `{"type":"chunk","id","seq","total","data":<base64>}`, `seq` from 0, in any
/// order, together at most 4 MiB and 30 seconds. The contract's 16 MiB, parsed at once as they must be, would hold up everybody else on
/// the loop, and no message that Airys has needs them.
struct AirysChunks {
    struct Chunk {
        let id: String
        let seq: Int
        let total: Int
        let bytes: [UInt8]

        init(id: String, seq: Int, total: Int, bytes: [UInt8]) {
            self.id = id
            self.seq = seq
            self.total = total
            self.bytes = bytes
        }

        /// `nil`: not a chunk as the contract has it.
        init?(_ message: JSON) {
            guard let id = message["id"]?.string, 1...AirysChunks.idMax ~= id.unicodeScalars.count,
                case .integer(let seq) = message["seq"], case .integer(let total) = message["total"],
                1...Int64(AirysChunks.piecesMax) ~= total, 0..<total ~= seq,
                let text = message["data"]?.string, let data = Data(base64Encoded: text)
            else { return nil }
            self.init(id: id, seq: Int(seq), total: Int(total), bytes: Array(data))
        }
    }

    private struct Message {
        var pieces: [Int: [UInt8]] = [:]
        let total: Int
        let ends: Timestamp
    }

    private static let idMax = 64
    private static let piecesMax = 4096
    private static let bytesMax = 4 << 20
    private static let timeMax = Duration.seconds(30)

    private var messages: [String: Message] = [:]
    private var bytes = 0

    /// When the oldest unfinished message is given up.
    var nextEnd: Timestamp? { self.messages.values.map(\.ends).min() }

    /// Takes a piece. Gives the whole message if it was the last one missing, `nil` if others are. Throws when the piece does not go
    /// with the others of its message, or they become too much; the message is then given up.
    mutating func take(_ chunk: Chunk, _ envelope: AirysCommand.Envelope?, at now: Timestamp) throws(AirysProblem)
        -> [UInt8]?
    {
        self.giveUp(at: now)
        var message = self.messages[chunk.id] ?? Message(total: chunk.total, ends: now + Self.timeMax)
        guard message.total == chunk.total, message.pieces[chunk.seq] == nil else {
            self.remove(chunk.id)
            throw AirysProblem("INVALID_MESSAGE", "The chunk does not go with those before it", envelope)
        }
        guard self.bytes + chunk.bytes.count <= Self.bytesMax else {
            self.remove(chunk.id)
            throw AirysProblem("INVALID_MESSAGE", "Chunks of more than 4 MiB", envelope)
        }
        message.pieces[chunk.seq] = chunk.bytes
        self.messages[chunk.id] = message
        self.bytes += chunk.bytes.count
        guard message.pieces.count == message.total else { return nil }
        self.remove(chunk.id)
        return message.pieces.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    /// Drops what was not finished in time; gives the messages' ids.
    @discardableResult
    mutating func giveUp(at now: Timestamp) -> [String] {
        let late = self.messages.filter { $0.value.ends <= now }.keys.sorted()
        for id in late { self.remove(id) }
        return late
    }

    private mutating func remove(_ id: String) {
        guard let message = self.messages.removeValue(forKey: id) else { return }
        self.bytes -= message.pieces.values.reduce(0) { $0 + $1.count }
    }
}
