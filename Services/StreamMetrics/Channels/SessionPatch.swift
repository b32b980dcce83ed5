import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What is set of a session by hand.
struct SessionPatch: Sendable {
    let values: [String: JSON]

    private static let valueBytesMax = 2048
    private static let listBytesMax = 8192

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireNoNUL()
        guard !body.isEmpty else { throw APIFailure(.badRequest, "The body must have the keys to set") }
        for key in body.keys.sorted() {
            guard let empty = SessionFamily.empty[key] else {
                throw members.invalid(String(key.prefix(64)), "is no key of a session")
            }
            let bytesMax = empty.array == nil ? Self.valueBytesMax : Self.listBytesMax
            guard let value = body[key], value.bytes.count <= bytesMax else {
                throw members.invalid(key, "must have at most \(bytesMax) bytes")
            }
            if empty.array == nil {
                try Self.check(try members.require(key, try members.members(key)), isSum: Self.isSum(empty))
            } else {
                guard let list = value.array, list.count <= SessionContribution.recentMax,
                    list.allSatisfy({ $0.object != nil })
                else {
                    throw members.invalid(
                        key, "must be a list of at most \(SessionContribution.recentMax) objects")
                }
            }
        }
        self.values = body
    }

    private static func check(_ value: Members, isSum: Bool) throws(APIFailure) {
        // Nothing of them is replaced, so nothing else may gather there.
        if isSum { try value.requireOnly(["amount", "count", "percent"], "is not known here") }
        _ = try value.text("name", 0...200)
        for name in ["amount", "percent"] { _ = try value.number(name, 0...1e15) }
        _ = try value.integer("count", 0...1_000_000_000_000_000)
    }

    /// Whether a value says how much there is, and not of whom.
    private static func isSum(_ empty: JSON?) -> Bool { empty?.object.map { $0["name"] == nil } ?? false }

    /// Of a sum, what is not named stays; of everything else nothing does.
    func value(of key: String, over old: JSON) -> JSON {
        guard let value = self.values[key]?.object else { return self.values[key] ?? old }
        let named = value.filter { $0.value != .null }
        guard Self.isSum(SessionFamily.empty[key]) else { return .object(named) }
        return .object((old.object ?? [:]).merging(named) { _, new in new })
    }
}
