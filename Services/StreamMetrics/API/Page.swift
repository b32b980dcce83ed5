import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// The part of a list that a request asks for.
struct Page {
    private let query: Parameters

    init(_ query: Parameters) { self.query = query }

    func number(_ name: String, _ range: ClosedRange<Int>, default value: Int) throws(APIFailure) -> Int {
        guard let text = self.query[name[...]] else { return value }
        guard let number = Int(text), range.contains(number) else {
            throw Self.refuse(name, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func id(_ name: String, _ isID: (Substring) -> Bool) throws(APIFailure) -> String? {
        guard let text = self.query[name[...]] else { return nil }
        guard isID(text) else { throw Self.refuse(name, "is not valid") }
        return String(text)
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) throws(APIFailure) -> Choice? where Choice.RawValue == String {
        guard let text = self.query[name[...]] else { return nil }
        guard let choice = Choice(rawValue: String(text)) else {
            throw Self.refuse(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    /// Several of an enumeration's raw values, with commas between them.
    func choices<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) throws(APIFailure) -> [Choice] where Choice.RawValue == String {
        var choices: [Choice] = []
        for text in self.query[name[...]]?.split(separator: ",") ?? [] {
            guard let choice = Choice(rawValue: String(text)) else {
                throw Self.refuse(name, "must be of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            choices.append(choice)
        }
        return choices
    }

    /// A text of at most so many Unicode scalars.
    func text(_ name: String, _ max: Int) throws(APIFailure) -> String? {
        guard let text = self.query[name[...]] else { return nil }
        guard text.unicodeScalars.count <= max, !text.utf8.contains(0) else {
            throw Self.refuse(name, "must have at most \(max) characters and no NUL")
        }
        return String(text)
    }

    /// ISO 8601 or Unix milliseconds.
    func moment(_ name: String) throws(APIFailure) -> Timestamp? {
        guard let text = self.query[name[...]] else { return nil }
        guard let moment = Int64(text).map({ Timestamp(untrusted: $0) }) ?? Timestamp(iso8601: String(text)) else {
            throw Self.refuse(name, "must be an ISO 8601 time or Unix milliseconds, in the years 1 to 9999")
        }
        return moment
    }

    /// WAVE's wrapper.
    static func body(_ data: [JSON], next: String?) -> JSON {
        ["data": .array(data), "pagination": ["next_cursor": JSON(next), "has_more": .bool(next != nil)]]
    }

    static func refuse(_ name: String, _ reason: String) -> APIFailure {
        APIFailure(.badRequest, "\(name) \(reason)", details: ["field": name, "reason": reason])
    }
}

extension APIContext {
    /// A part of the path.
    func id(_ name: String = "id") throws -> String { try self.parameters.require(name) }
}
