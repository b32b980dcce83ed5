/// Reading and writing JSON text by hand. What clients send is read on a gateway's loop, where a `JSONDecoder` would take
/// milliseconds for a message of many small values, and accepts trailing commas besides.
extension JSON {
    /// What becomes of an object that has a member twice (RFC 8259 §4 leaves it open).
    public enum Duplicates: Sendable {
        case lastCounts
        /// Two readers could take it to say two things.
        case refused
    }

    /// Reads one JSON value (RFC 8259); `nil` when the bytes are not that, not UTF-8, or nested deeper than 128 levels.
    public init?(parsing bytes: [UInt8], duplicates: Duplicates = .lastCounts) {
        guard let value = bytes.withUnsafeBufferPointer({ JSONReader($0, duplicates).document() }) else { return nil }
        self = value
    }

    /// Its text, with keys in a fixed order and slashes as they are.
    public var bytes: [UInt8] {
        var text: [UInt8] = []
        self.write(to: &text)
        return text
    }

    private func write(to text: inout [UInt8]) {
        switch self {
        case .null: text.append(text: "null")
        case .bool(let value): text.append(text: value ? "true" : "false")
        case .integer(let value): text.append(text: String(value))
        // JSON has no words for infinity and for what is no number.
        case .number(let value): text.append(text: value.isFinite ? "\(value)" : "null")
        case .string(let value): text.append(quoted: value)
        case .array(let members):
            text.append(UInt8(ascii: "["))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                member.write(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                text.append(quoted: member.key)
                text.append(UInt8(ascii: ":"))
                member.value.write(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }
}

extension [UInt8] {
    /// Appends text as it is.
    package mutating func append(text: some StringProtocol) { self.append(contentsOf: text.utf8) }

    /// Appends text as a JSON string, with its quotes.
    package mutating func append(quoted text: some StringProtocol) {
        self.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                self.append(UInt8(ascii: "\\"))
                self.append(byte)
            case 0..<0x20:
                self.append(text: byte < 16 ? "\\u000" : "\\u00")
                self.append(text: String(byte, radix: 16))
            default: self.append(byte)
            }
        }
        self.append(UInt8(ascii: "\""))
    }
}

/// One pass over a text. Every function starts at the first byte of what it reads and ends behind the last one.
private struct JSONReader {
    private static let depthMax = 128

    private let bytes: UnsafeBufferPointer<UInt8>
    private let duplicates: JSON.Duplicates
    private var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ duplicates: JSON.Duplicates) {
        self.bytes = bytes
        self.duplicates = duplicates
    }

    consuming func document() -> JSON? {
        var reader = self
        guard let value = reader.value(depth: 0) else { return .none }
        reader.skipSpace()
        guard reader.position == reader.bytes.count else { return .none }
        return value
    }

    private var next: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    private mutating func value(depth: Int) -> JSON? {
        self.skipSpace()
        switch self.next {
        case UInt8(ascii: "{"): return self.object(depth: depth + 1)
        case UInt8(ascii: "["): return self.array(depth: depth + 1)
        case UInt8(ascii: "\""): return self.text().map(JSON.string)
        case UInt8(ascii: "t"): return self.skip("true") ? .some(.bool(true)) : .none
        case UInt8(ascii: "f"): return self.skip("false") ? .some(.bool(false)) : .none
        case UInt8(ascii: "n"): return self.skip("null") ? .some(.null) : .none
        default: return self.number()
        }
    }

    private mutating func object(depth: Int) -> JSON? {
        guard depth <= Self.depthMax else { return .none }
        var members: [String: JSON] = [:]
        self.position += 1
        self.skipSpace()
        if self.skip("}") { return .object(members) }
        while true {
            self.skipSpace()
            guard let key = self.text() else { return .none }
            self.skipSpace()
            guard self.skip(":"), let value = self.value(depth: depth) else { return .none }
            let earlier = members.updateValue(value, forKey: key)
            guard earlier == .none || self.duplicates == .lastCounts else { return .none }
            self.skipSpace()
            if self.skip("}") { return .object(members) }
            guard self.skip(",") else { return .none }
        }
    }

    private mutating func array(depth: Int) -> JSON? {
        guard depth <= Self.depthMax else { return .none }
        var members: [JSON] = []
        self.position += 1
        self.skipSpace()
        if self.skip("]") { return .array(members) }
        while true {
            guard let value = self.value(depth: depth) else { return .none }
            members.append(value)
            self.skipSpace()
            if self.skip("]") { return .array(members) }
            guard self.skip(",") else { return .none }
        }
    }

    private mutating func text() -> String? {
        guard self.skip("\"") else { return nil }
        // Most texts have nothing to unescape.
        let start = self.position
        while let byte = self.next, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
            self.position += 1
        }
        let plain = UnsafeBufferPointer(rebasing: self.bytes[start..<self.position])
        if self.skip("\"") {
            // Which is checked faster than any text.
            let isASCII = plain.allSatisfy { $0 < 0x80 }
            return isASCII ? String(decoding: plain, as: UTF8.self) : String(validating: plain, as: UTF8.self)
        }
        var text = Array(plain)
        while let byte = self.next {
            self.position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let scalar = self.escaped() else { return nil }
                text.append(contentsOf: String(scalar).utf8)
            case 0..<0x20: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    /// What follows a backslash. Half of a surrogate pair is no character.
    private mutating func escaped() -> Unicode.Scalar? {
        guard let byte = self.next else { return nil }
        self.position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            guard let first = self.fourDigits() else { return nil }
            guard 0xD800..<0xDC00 ~= first else { return Unicode.Scalar(first) }
            guard self.skip("\\u"), let second = self.fourDigits(), 0xDC00..<0xE000 ~= second else { return nil }
            return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        default: return nil
        }
    }

    private mutating func fourDigits() -> UInt32? {
        guard self.position + 4 <= self.bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in self.bytes[self.position..<self.position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
        }
        self.position += 4
        return value
    }

    private mutating func number() -> JSON? {
        let start = self.position
        _ = self.skip("-")
        if !self.skip("0") { guard self.skipDigits() else { return .none } }
        let isWhole = self.next != UInt8(ascii: ".") && self.next != UInt8(ascii: "e") && self.next != UInt8(ascii: "E")
        if self.skip(".") { guard self.skipDigits() else { return .none } }
        if self.skip("e") || self.skip("E") {
            _ = self.skip("+") || self.skip("-")
            guard self.skipDigits() else { return .none }
        }
        let text = String(decoding: self.bytes[start..<self.position], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { return .none }
        return Int64(exactly: value).map(JSON.integer) ?? .number(value)
    }

    private mutating func skipDigits() -> Bool {
        let start = self.position
        while let byte = self.next, 0x30...0x39 ~= byte { self.position += 1 }
        return self.position > start
    }

    private mutating func skipSpace() {
        while let byte = self.next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { self.position += 1 }
    }

    /// Passes that text if it stands here.
    private mutating func skip(_ text: StaticString) -> Bool {
        let end = self.position + text.utf8CodeUnitCount
        guard end <= self.bytes.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where self.bytes[self.position + index] != text.utf8Start[index] {
            return false
        }
        self.position = end
        return true
    }
}
