enum Opcode: UInt8 {
    case text = 1
    case close = 8
    case ping = 9
}

/// The 2 to 10 bytes in front of the payload of an unmasked, unfragmented frame.
struct FrameHeader {
    let count: Int
    private let opcode: Opcode
    private let payloadBytes: Int

    init(_ opcode: Opcode, payloadBytes: Int) {
        self.opcode = opcode
        self.payloadBytes = payloadBytes
        self.count =
            switch payloadBytes {
            case ..<126: 2
            case ..<65536: 4
            default: 10
            }
    }

    func write(to space: UnsafeMutableRawBufferPointer) {
        space[0] = 0x80 | self.opcode.rawValue
        let lengthBytes = self.count - 2
        space[1] =
            switch lengthBytes {
            case 0: UInt8(self.payloadBytes)
            case 2: 126
            default: 127
            }
        for index in 0..<lengthBytes {
            space[2 + index] = UInt8(truncatingIfNeeded: self.payloadBytes >> (8 * (lengthBytes - 1 - index)))
        }
    }
}
