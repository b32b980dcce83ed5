internal import FoundationEssentials

/// Any JSON value: for what clients send, before it is known to be well-formed, and for fields that pass through untouched.
public enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// The integers that a peer may send: those that every JSON reader holds exactly (RFC 7493 §2.2).
    public static let integers: ClosedRange<Int64> = -(1 << 53)...1 << 53

    /// Encodes with keys in a fixed order and slashes as they are. A number that is not finite becomes null, and so does a value that
    /// does not encode at all.
    public static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        // `try?`: what fails here is encoded once more, with more effort.
        if let data = try? encoder.encode(value) { return Array(data) }
        // An encoder replaces such numbers with text only. No value contains a text that was made just now.
        let mark = "\(ULID())"
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: mark, negativeInfinity: mark, nan: mark)
        guard let data = try? encoder.encode(value), let tree = JSON(parsing: Array(data)) else {
            return JSON.null.bytes
        }
        return tree.replacingTexts(equalTo: mark).bytes
    }

    private func replacingTexts(equalTo mark: String) -> JSON {
        switch self {
        case .string(mark): .null
        case .array(let members): .array(members.map { $0.replacingTexts(equalTo: mark) })
        case .object(let members): .object(members.mapValues { $0.replacingTexts(equalTo: mark) })
        default: self
        }
    }

    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// A string, or null.
    public init(_ text: String?) { self = text.map(JSON.string) ?? .null }

    /// A number, whole if it is, or null, also for what is not finite.
    public init(_ number: Double?) {
        guard let number, number.isFinite else {
            self = .null
            return
        }
        self = Int64(exactly: number).map { .integer($0) } ?? .number(number)
    }

    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    public var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    public var object: [String: JSON]? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    public var array: [JSON]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The value as a number, whole or not. `nil` beyond ±2^53, so that arithmetic on what a peer sent stays finite.
    public var double: Double? {
        switch self {
        case .integer(let value): Self.integers.contains(value) ? Double(value) : nil
        case .number(let value): value.magnitude <= Double(Self.integers.upperBound) ? value : nil
        default: nil
        }
    }

    /// The value as a whole number, also if it is written with a fraction of zero. `nil` beyond ±2^53.
    public var integer: Int64? { self.double.flatMap { Int64(exactly: $0) } }

    /// Returns whether the value is a number, of any size.
    public var isNumber: Bool {
        switch self {
        case .integer, .number: true
        default: false
        }
    }

    /// All members as strings, or `nil` when this is not an array of strings.
    public var strings: [String]? {
        guard let array = self.array else { return nil }
        let strings = array.compactMap(\.string)
        return strings.count == array.count ? strings : nil
    }
}

extension JSON: Codable {
    public init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: MemberKey.self) {
            self = .object(
                try keyed.allKeys.reduce(into: [:]) { $0[$1.stringValue] = try keyed.decode(JSON.self, forKey: $1) })
            return
        }
        if var unkeyed = try? decoder.unkeyedContainer() {
            var members: [JSON] = []
            while !unkeyed.isAtEnd { members.append(try unkeyed.decode(JSON.self)) }
            self = .array(members)
            return
        }
        // `try?`: each attempt asks which kind of value this is.
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .string(try value.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let members):
            var container = encoder.container(keyedBy: MemberKey.self)
            for (name, member) in members { try container.encode(member, forKey: MemberKey(stringValue: name)) }
        case .array(let members):
            var container = encoder.unkeyedContainer()
            for member in members { try container.encode(member) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .integer(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .number(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .string(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }

    private struct MemberKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByNilLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}
