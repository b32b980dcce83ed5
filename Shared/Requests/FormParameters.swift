import HTTPTypes

/// What a form or a query says (RFC 6749, appendix B). A parameter without a value counts as left out (§3.1).
public struct FormParameters: Sendable {
    private let values: [String: String]
    /// The names that come more than once, which none may (§3.1, §3.2).
    public let repeated: Set<String>

    public static let contentType = "application/x-www-form-urlencoded"
    public static let bytesMax = 16_384

    /// Throws 400 (`invalid_request`) for bytes that are no text, broken escapes and control characters.
    public init(_ text: some Sequence<UInt8>) throws(APIFailure) {
        var values: [String: String] = [:]
        var repeated: Set<String> = []
        for pair in Array(text).split(separator: UInt8(ascii: "&")) {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(halves[0]), let value = Self.decode(halves.count == 2 ? halves[1] : []) else {
                throw Self.invalid("The parameters do not decode")
            }
            guard !value.isEmpty else { continue }
            if values.updateValue(value, forKey: name) != nil { repeated.insert(name) }
        }
        (self.values, self.repeated) = (values, repeated)
    }

    public subscript(name: String) -> String? { self.values[name] }

    public func require(_ name: String) throws(APIFailure) -> String {
        guard let value = self[name] else { throw Self.invalid("\(name) is required") }
        return value
    }

    public func requireNoneRepeated() throws(APIFailure) {
        guard self.repeated.isEmpty else { throw Self.invalid("A parameter comes more than once") }
    }

    public static func invalid(_ message: String) -> APIFailure {
        APIFailure(.badRequest, code: "invalid_request", message)
    }

    /// Undoes the form's encoding; `nil`: not UTF-8, a control character, or a broken escape.
    public static func decode(_ text: ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2,
                    let decoded = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))?.first
                else { return nil }
                bytes.append(decoded)
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        guard bytes.allSatisfy({ $0 >= 32 && $0 != 127 }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// A value as it stands in a query: everything but RFC 3986's unreserved characters is escaped.
    public static func encode(_ value: String) -> String {
        var text: [UInt8] = []
        for byte in value.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: text.append(byte)
            default: text += Array("%\(Hex.encode([byte]).uppercased())".utf8)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
