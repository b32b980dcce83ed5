/// A 128-bit identifier that sorts by time: 48 bits of milliseconds, 80 random bits (github.com/ulid/spec).
public struct ULID: Sendable, Hashable, Comparable {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new one, of the given moment.
    public init(at time: Timestamp = .now) {
        let random = UInt64.random(in: 0...UInt64.max)
        self.high = UInt64(clamping: time.milliseconds) << 16 | (random & 0xFFFF)
        self.low = UInt64.random(in: 0...UInt64.max)
    }

    /// The moment that it was made at.
    public var time: Timestamp { Timestamp(milliseconds: Int64(self.high >> 16)) }

    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// 26 characters of Crockford's base 32.
    public var text: String {
        String(unsafeUninitializedCapacity: 26) { buffer in
            var (high, low) = (self.high, self.low)
            for index in stride(from: 25, through: 0, by: -1) {
                buffer[index] = Self.alphabet[Int(low & 31)]
                low = low >> 5 | high << 59
                high >>= 5
            }
            return 26
        }
    }

    /// Reads 26 characters; `nil` for anything that is not a ULID.
    public init?(text: some StringProtocol) {
        let bytes = Array(text.utf8)
        // 130 bits are two more than there are.
        guard bytes.count == 26, Self.digits[Int(bytes[0])] < 8 else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for byte in bytes {
            let digit = Self.digits[Int(byte)]
            guard digit < 32 else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(digit)
        }
        self.init(high: high, low: low)
    }

    /// What a byte stands for, in upper case or lower; 255: nothing.
    private static let digits: [UInt8] = {
        var digits = [UInt8](repeating: 255, count: 256)
        for (value, byte) in Self.alphabet.enumerated() {
            digits[Int(byte)] = UInt8(value)
            if byte >= UInt8(ascii: "A") { digits[Int(byte) + 32] = UInt8(value) }
        }
        return digits
    }()

    public static func < (left: ULID, right: ULID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension ULID: CustomStringConvertible, Codable {
    public var description: String { self.text }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = ULID(text: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a ULID"))
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }
}
