public import Events
import HTTPTypes
public import ServiceKit

/// The members of a JSON object from outside, each read with its check. What is missing or null is `nil`; a refusal is a 400 whose
/// details are the member's name (`field`) and the `reason`, for the API's error shape to word.
public struct Members: Sendable {
    public let object: [String: JSON]
    /// Where the object stands in the body: `bounding_box.`
    private let path: String
    private let nullIsAbsent: Bool

    /// - Parameter nullIsAbsent: whether null says nothing, or is a value that no check takes.
    public init(_ object: [String: JSON], at path: String = "", nullIsAbsent: Bool = true) {
        self.object = object
        self.path = path
        self.nullIsAbsent = nullIsAbsent
    }

    /// Whether the name is there, null or not.
    public func has(_ name: String) -> Bool { self.object[name] != nil }

    /// Missing or null.
    public func isAbsent(_ name: String) -> Bool { self.value(name) == nil }

    /// The value that a read gave. Throws when it gave none.
    public func require<Value>(_ name: String, _ value: Value?) throws(APIFailure) -> Value {
        guard let value else { throw self.invalid(name, "is required") }
        return value
    }

    /// A text of so many Unicode scalars, without NUL: Postgres stores none. White space alone is no text where one is needed.
    public func text(
        _ name: String, _ length: ClosedRange<Int>, mayBeBlank: Bool = false
    ) throws(APIFailure) -> String? {
        let rule = "must be a string of \(length.lowerBound) to \(length.upperBound) characters"
        return try self.text(name, rule) { text in
            length.contains(text.unicodeScalars.count)
                && (mayBeBlank || length.lowerBound == 0 || !text.allSatisfy(\.isWhitespace))
        }
    }

    /// A text, without NUL, that keeps a rule.
    public func text(_ name: String, _ rule: String, where isValid: (String) -> Bool) throws(APIFailure) -> String? {
        guard let value = self.value(name) else { return nil }
        guard let text = value.string, !text.utf8.contains(0), isValid(text) else { throw self.invalid(name, rule) }
        return text
    }

    /// At most `max` texts of so many Unicode scalars.
    public func texts(_ name: String, max: Int, _ length: ClosedRange<Int>) throws(APIFailure) -> [String]? {
        guard let value = self.value(name) else { return nil }
        guard let texts = value.strings, texts.count <= max,
            texts.allSatisfy({ length.contains($0.unicodeScalars.count) && !$0.utf8.contains(0) })
        else {
            throw self.invalid(
                name,
                "must be a list of at most \(max) strings of \(length.lowerBound) to \(length.upperBound) characters")
        }
        return texts
    }

    /// One of an enumeration's raw values.
    public func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) throws(APIFailure) -> Choice? where Choice.RawValue == String {
        guard let value = self.value(name) else { return nil }
        guard let choice = value.string.flatMap(Choice.init(rawValue:)) else {
            throw self.invalid(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    public func bool(_ name: String) throws(APIFailure) -> Bool? {
        guard let value = self.value(name) else { return nil }
        guard let bool = value.bool else { throw self.invalid(name, "must be true or false") }
        return bool
    }

    /// - Parameter unit: stands after the bounds in the reason.
    public func integer(
        _ name: String, _ range: ClosedRange<Int>, _ unit: String = ""
    ) throws(APIFailure) -> Int? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.double, let integer = Int(exactly: number), range.contains(integer) else {
            let bounds = "between \(range.lowerBound) and \(range.upperBound)"
            throw self.invalid(name, "must be a whole number \(bounds)\(unit.isEmpty ? "" : " \(unit)")")
        }
        return integer
    }

    public func number(_ name: String, _ range: ClosedRange<Double>) throws(APIFailure) -> Double? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw self.invalid(name, "must be a number between \(range.lowerBound) and \(range.upperBound)")
        }
        return number
    }

    /// The members of an object within.
    public func members(_ name: String) throws(APIFailure) -> Members? {
        guard let value = self.value(name) else { return nil }
        guard let object = value.object else { throw self.invalid(name, "must be an object") }
        return Members(object, at: "\(self.path)\(name).", nullIsAbsent: self.nullIsAbsent)
    }

    /// Throws when it has a member of another name.
    public func requireOnly(_ names: Set<String>, _ reason: String) throws(APIFailure) {
        guard let other = self.object.keys.sorted().first(where: { !names.contains($0) }) else { return }
        throw self.invalid(String(other.prefix(50)), reason)
    }

    /// Throws when a NUL character is anywhere: for what is stored without each text being read.
    public func requireNoNUL() throws(APIFailure) {
        for (name, value) in self.object.sorted(by: { $0.key < $1.key }) where JSON.object([name: value]).hasNUL {
            throw self.invalid(String(name.prefix(50)), "must not contain NUL characters")
        }
    }

    public func invalid(_ name: String, _ reason: String) -> APIFailure {
        let field = self.path + name
        return APIFailure(.badRequest, "\(field) \(reason)", details: ["field": field, "reason": reason])
    }

    private func value(_ name: String) -> JSON? {
        guard let value = self.object[name], value != .null || !self.nullIsAbsent else { return nil }
        return value
    }
}

extension JSON {
    /// Whether a NUL character is in any text or name of it.
    fileprivate var hasNUL: Bool {
        switch self {
        case .string(let text): text.utf8.contains(0)
        case .array(let members): members.contains(where: \.hasNUL)
        case .object(let members): members.contains { $0.key.utf8.contains(0) || $0.value.hasNUL }
        case .null, .bool, .integer, .number: false
        }
    }
}
