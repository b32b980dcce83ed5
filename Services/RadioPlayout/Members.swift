import Events
import HTTPTypes
import ServiceKit

/// The members of a request's JSON object, each read with its check. A refusal is a 400 whose code names the member.
struct Members {
    let object: [String: JSON]

    init(_ object: [String: JSON]) { self.object = object }

    /// `nil`: missing or null.
    func text(_ name: String, max: Int, mayBeEmpty: Bool = false) throws(APIFailure) -> String? {
        guard let value = self.value(name) else { return nil }
        guard let text = value.string, text.unicodeScalars.count <= max, !text.utf8.contains(0),
            mayBeEmpty || !text.isBlank
        else {
            throw Self.invalid(name)
        }
        return text
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(APIFailure) -> Int? {
        guard let value = self.value(name) else { return nil }
        guard let number = value.double, let integer = Int(exactly: number), range.contains(integer) else {
            throw Self.invalid(name)
        }
        return integer
    }

    func bool(_ name: String) throws(APIFailure) -> Bool? {
        guard let value = self.value(name) else { return nil }
        guard let bool = value.bool else { throw Self.invalid(name) }
        return bool
    }

    /// Missing or null.
    func isAbsent(_ name: String) -> Bool { self.value(name) == nil }

    static func invalid(_ name: String) -> APIFailure {
        APIFailure(.badRequest, code: "invalid_\(name)", "\(name) is not valid")
    }

    private func value(_ name: String) -> JSON? {
        guard let value = self.object[name], value != .null else { return nil }
        return value
    }
}

extension String {
    fileprivate var isBlank: Bool { self.allSatisfy(\.isWhitespace) }
}
