import NIOCore

/// Frames as a client writes and reads them.
public enum WebSocketFrames {
    /// A frame with a mask, as clients must send it.
    public static func masked(opcode: UInt8, _ payload: [UInt8], isLast: Bool = true) -> [UInt8] {
        var frame = [(isLast ? 0x80 : 0) | opcode]
        switch payload.count {
        case ..<126: frame.append(0x80 | UInt8(payload.count))
        case ..<65536: frame += [0x80 | 126] + Self.bigEndian(payload.count, bytes: 2)
        default: frame += [0x80 | 127] + Self.bigEndian(payload.count, bytes: 8)
        }
        let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        return frame + mask + payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
    }

    /// Takes a whole frame off the front of `buffer`, `nil` while there is none.
    static func read(_ buffer: inout ByteBuffer) -> (opcode: UInt8, isLast: Bool, payload: [UInt8])? {
        let start = buffer.readerIndex
        guard let first = buffer.getInteger(at: start, as: UInt8.self),
            let second = buffer.getInteger(at: start + 1, as: UInt8.self)
        else { return nil }
        var header = 2
        var count = Int(second & 0x7f)
        if count == 126 {
            guard let long = buffer.getInteger(at: start + 2, as: UInt16.self) else { return nil }
            (header, count) = (4, Int(long))
        } else if count == 127 {
            guard let long = buffer.getInteger(at: start + 2, as: UInt64.self) else { return nil }
            (header, count) = (10, Int(long))
        }
        guard let payload = buffer.getBytes(at: start + header, length: count) else { return nil }
        buffer.moveReaderIndex(forwardBy: header + count)
        return (first & 0x0f, first & 0x80 != 0, payload)
    }

    private static func bigEndian(_ value: Int, bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * (bytes - 1 - $0))) }
    }
}
