public import Events

/// A parameter as it goes to the server: text, and the number of its type in `pg_type` (0: the server infers it).
public struct Parameter: Sendable, Hashable {
    let type: UInt32
    /// `nil` is NULL.
    let text: [UInt8]?

    init(type: UInt32, text: [UInt8]?) {
        self.type = type
        self.text = text
    }
}

/// What can stand in a query as `\(value)`.
public protocol QueryValue: Sendable {
    static var parameterType: UInt32 { get }
    /// The value as Postgres reads it.
    var parameterText: [UInt8] { get }
}

extension QueryValue {
    var parameter: Parameter { Parameter(type: Self.parameterType, text: self.parameterText) }
}

extension String: QueryValue {
    public static var parameterType: UInt32 { 0 }
    public var parameterText: [UInt8] { Array(self.utf8) }
}

extension Int: QueryValue {
    public static var parameterType: UInt32 { 20 }
    public var parameterText: [UInt8] { Array(String(self).utf8) }
}

extension Int64: QueryValue {
    public static var parameterType: UInt32 { 20 }
    public var parameterText: [UInt8] { Array(String(self).utf8) }
}

extension Double: QueryValue {
    public static var parameterType: UInt32 { 701 }
    // Swift writes nan and inf, which Postgres reads as they are.
    public var parameterText: [UInt8] { Array(String(self).utf8) }
}

extension Bool: QueryValue {
    public static var parameterType: UInt32 { 16 }
    public var parameterText: [UInt8] { [UInt8(ascii: self ? "t" : "f")] }
}

extension Timestamp: QueryValue {
    public static var parameterType: UInt32 { 1184 }
    public var parameterText: [UInt8] { Array(TimestampText.write(self).utf8) }
}

extension JSON: QueryValue {
    public static var parameterType: UInt32 { 3802 }
    public var parameterText: [UInt8] { self.bytes }
}

/// `[String]` is `text[]`, `[Int64]` is `bigint[]`, `[UInt8]` is text that is UTF-8 already.
extension Array: QueryValue where Element: QueryElement {
    public static var parameterType: UInt32 { Element.arrayType }
    public var parameterText: [UInt8] { Element.arrayText(self) }
}

public protocol QueryElement: Sendable {
    static var arrayType: UInt32 { get }
    static func arrayText(_ elements: [Self]) -> [UInt8]
}

extension String: QueryElement {
    public static var arrayType: UInt32 { 1009 }
    public static func arrayText(_ elements: [String]) -> [UInt8] { ArrayText.write(elements) }
}

extension Int64: QueryElement {
    public static var arrayType: UInt32 { 1016 }
    public static func arrayText(_ elements: [Int64]) -> [UInt8] {
        Array("{\(elements.map { String($0) }.joined(separator: ","))}".utf8)
    }
}

extension UInt8: QueryElement {
    public static var arrayType: UInt32 { 0 }
    public static func arrayText(_ elements: [UInt8]) -> [UInt8] { elements }
}
