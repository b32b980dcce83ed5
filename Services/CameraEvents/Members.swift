import Events
import HTTPTypes
import ServiceKit

/// The members of a JSON object from outside, each read with its check. A refusal is a 400 that names the member.
struct Members {
    private let object: [String: JSON]
    /// Where the object stands in the body, for messages: `bounding_box.`
    private let path: String

    init(_ object: [String: JSON], at path: String = "") {
        self.object = object
        self.path = path
    }

    func has(_ name: String) -> Bool { self.object[name] != nil }

    /// `nil`: missing or null.
    func text(_ name: String, max: Int) throws(APIFailure) -> String? {
        guard let value = self.value(name) else { return nil }
        guard let text = value.string, text.unicodeScalars.count <= max, !text.utf8.contains(0),
            !text.allSatisfy(\.isWhitespace)
        else {
            throw self.invalid(name, "must be a text of 1 to \(max) characters")
        }
        return text
    }

    func bool(_ name: String) throws(APIFailure) -> Bool? {
        guard let value = self.value(name) else { return nil }
        guard let bool = value.bool else { throw self.invalid(name, "must be true or false") }
        return bool
    }

    func number(_ name: String, _ range: ClosedRange<Double>) throws(APIFailure) -> Double? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw self.invalid(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(APIFailure) -> Int? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.double, let integer = Int(exactly: number), range.contains(integer) else {
            throw self.invalid(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    func members(_ name: String) throws(APIFailure) -> Members? {
        guard let value = self.value(name) else { return nil }
        guard let object = value.object else { throw self.invalid(name, "must be an object") }
        return Members(object, at: "\(self.path)\(name).")
    }

    func require<Value>(_ name: String, _ value: Value?) throws(APIFailure) -> Value {
        guard let value else { throw self.invalid(name, "is required") }
        return value
    }

    func invalid(_ name: String, _ problem: String) -> APIFailure {
        APIFailure(.badRequest, "\(self.path)\(name) \(problem)")
    }

    private func value(_ name: String) -> JSON? {
        guard let value = self.object[name], value != .null else { return nil }
        return value
    }
}
