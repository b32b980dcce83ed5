public import Events

/// One row of an answer.
public struct Row: Sendable {
    /// The columns' names and places, shared by the rows of an answer.
    let columns: [String: Int]
    /// The values' bytes in a row, one after the other, and where each one is; `nil` is NULL.
    let bytes: [UInt8]
    let ranges: [Range<Int>?]

    /// The value of a column. NULL needs an optional type.
    public func decode<Value: RowValue>(_ column: String, as type: Value.Type = Value.self) throws(DatabaseError)
        -> Value
    {
        guard let index = self.columns[column] else { throw .decoding("there is no column \(column)") }
        let text = self.ranges[index].map { self.bytes[$0] }
        guard let value = Value(columnText: text) else {
            throw .decoding("column \(column) is \(text == nil ? "NULL" : "not a \(Value.self)")")
        }
        return value
    }
}

/// What a column can be decoded as.
public protocol RowValue {
    /// Reads Postgres's text form (`nil`: NULL).
    init?(columnText text: ArraySlice<UInt8>?)
}

extension Optional: RowValue where Wrapped: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text else {
            self = Optional<Wrapped>.none
            return
        }
        guard let value = Wrapped(columnText: text) else { return nil }
        self = Optional<Wrapped>.some(value)
    }
}

extension String: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text else { return nil }
        self.init(decoding: text, as: UTF8.self)
    }
}

extension Int: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text = String(columnText: text) else { return nil }
        self.init(text)
    }
}

extension Int64: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text = String(columnText: text) else { return nil }
        self.init(text)
    }
}

extension Double: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text = String(columnText: text) else { return nil }
        self.init(text)
    }
}

extension Bool: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text, text.count == 1 else { return nil }
        switch text.first {
        case UInt8(ascii: "t"): self = true
        case UInt8(ascii: "f"): self = false
        default: return nil
        }
    }
}

extension Timestamp: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text = String(columnText: text), let value = TimestampText.read(text) else { return nil }
        self = value
    }
}

extension JSON: RowValue {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text else { return nil }
        self.init(parsing: Array(text))
    }
}

extension Array: RowValue where Element: RowElement {
    public init?(columnText text: ArraySlice<UInt8>?) {
        guard let text, let elements = Element.elements(of: text) else { return nil }
        self = elements
    }
}

public protocol RowElement {
    static func elements(of text: ArraySlice<UInt8>) -> [Self]?
}

extension String: RowElement {
    public static func elements(of text: ArraySlice<UInt8>) -> [String]? { ArrayText.read(text) }
}

extension Int64: RowElement {
    public static func elements(of text: ArraySlice<UInt8>) -> [Int64]? {
        guard let texts = ArrayText.read(text) else { return nil }
        let numbers = texts.compactMap { Int64($0) }
        return numbers.count == texts.count ? numbers : nil
    }
}

/// The bytes as they are.
extension UInt8: RowElement {
    public static func elements(of text: ArraySlice<UInt8>) -> [UInt8]? { Array(text) }
}
