import Events
import HTTPTypes
import ServiceKit

/// The members of a JSON object that a client sent, each read with its check. Throws 400 with the member's name and the reason.
struct Fields {
    let members: [String: JSON]
    /// What stands before a member's name in messages.
    private let prefix: String

    /// Refuses NUL characters anywhere: Postgres stores none.
    init(_ members: [String: JSON]) throws(APIFailure) {
        guard !JSON.object(members).hasNUL else {
            throw APIFailure(
                .badRequest, "NUL characters are not allowed", details: ["reason": "contains a NUL character"])
        }
        self.init(members, prefix: "")
    }

    private init(_ members: [String: JSON], prefix: String) {
        self.members = members
        self.prefix = prefix
    }

    func refuse(_ name: String, _ reason: String) -> APIFailure {
        APIFailure(
            .badRequest, "\(self.prefix)\(name) \(reason)", details: ["field": self.prefix + name, "reason": reason])
    }

    func has(_ name: String) -> Bool { self.members[name] != nil }

    /// A text of so many characters; `nil` where it is missing or null.
    func text(_ name: String, _ length: ClosedRange<Int>) throws(APIFailure) -> String? {
        switch self.members[name] {
        case nil, .null: return nil
        case .string(let text) where length.contains(text.unicodeScalars.count): return text
        default:
            throw self.refuse(name, "must be a string of \(length.lowerBound) to \(length.upperBound) characters")
        }
    }

    func requiredText(_ name: String, _ length: ClosedRange<Int>) throws(APIFailure) -> String {
        guard let text = try self.text(name, length) else { throw self.refuse(name, "is required") }
        return text
    }

    /// One of an enumeration's raw values; `nil` where it is missing or null.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) throws(APIFailure) -> Choice? where Choice.RawValue == String {
        switch self.members[name] {
        case nil, .null: return nil
        case .string(let text):
            if let choice = Choice(rawValue: text) { return choice }
        default: break
        }
        throw self.refuse(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    func bool(_ name: String) throws(APIFailure) -> Bool? {
        switch self.members[name] {
        case nil, .null: return nil
        case .bool(let value): return value
        default: throw self.refuse(name, "must be true or false")
        }
    }

    /// A list of short texts; `nil` where it is missing or null.
    func texts(_ name: String, max: Int, _ length: ClosedRange<Int>) throws(APIFailure) -> [String]? {
        guard let value = self.members[name], value != .null else { return nil }
        guard let texts = value.strings, texts.count <= max,
            texts.allSatisfy({ length.contains($0.unicodeScalars.count) })
        else {
            throw self.refuse(
                name,
                "must be a list of at most \(max) strings of \(length.lowerBound) to \(length.upperBound) characters")
        }
        return texts
    }

    /// The members of an object; `nil` where it is missing or null.
    func object(_ name: String) throws(APIFailure) -> Fields? {
        switch self.members[name] {
        case nil, .null: return nil
        case .object(let members): return Fields(members, prefix: "\(self.prefix)\(name).")
        default: throw self.refuse(name, "must be an object")
        }
    }
}

extension JSON {
    /// Whether a NUL character is in any text or name of it.
    var hasNUL: Bool {
        switch self {
        case .string(let text): text.utf8.contains(0)
        case .array(let members): members.contains(where: \.hasNUL)
        case .object(let members): members.contains { $0.key.utf8.contains(0) || $0.value.hasNUL }
        case .null, .bool, .integer, .number: false
        }
    }
}
