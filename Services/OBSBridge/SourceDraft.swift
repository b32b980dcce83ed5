import Events
import FoundationEssentials
import HTTPTypes
import ServiceKit

/// What a client wants a source to be: the fields that it named, each one checked.
struct SourceDraft: Sendable {
    var name: String?
    var url: String?
    var width: Int?
    var height: Int?
    var refreshRate: Int?
    var cssCustom: String?
    var jsCustom: String?
    var isActive: Bool?

    static let widths = 1...7680
    static let heights = 1...4320
    static let refreshRates = 1...60
    private static let nameLengthMax = 255
    private static let urlLengthMax = 2048
    private static let codeBytesMax = 65_536

    /// Reads a body. What the service itself sets (`id`, `createdAt`, …) and what it does not know is passed over, so that a client
    /// can send back what it was given.
    init(_ body: [String: JSON]) throws(APIFailure) {
        var reader = Reader(body: body)
        self.name = reader.text("name", "must be a string of 1 to \(Self.nameLengthMax) characters") {
            (1...Self.nameLengthMax).contains($0.count) && !$0.allSatisfy(\.isWhitespace)
        }
        self.url = reader.text(
            "url", "must be an absolute http or https URL of at most \(Self.urlLengthMax) characters"
        ) {
            $0.utf8.count <= Self.urlLengthMax && Self.isWebAddress($0)
        }
        self.width = reader.number("width", Self.widths, unit: "pixels")
        self.height = reader.number("height", Self.heights, unit: "pixels")
        self.refreshRate = reader.number("refreshRate", Self.refreshRates, unit: "seconds")
        let codeRule = "must be a string of at most \(Self.codeBytesMax) bytes"
        self.cssCustom = reader.text("cssCustom", codeRule) { $0.utf8.count <= Self.codeBytesMax }
        self.jsCustom = reader.text("jsCustom", codeRule) { $0.utf8.count <= Self.codeBytesMax }
        self.isActive = reader.flag("isActive")
        try reader.finish()
    }

    /// A new source of these fields. Throws when one of the required four is missing.
    func newSource(at now: Timestamp) throws(APIFailure) -> Source {
        guard let name, let url, let width, let height else {
            let missing = [
                ("name", self.name == nil), ("url", self.url == nil), ("width", self.width == nil),
                ("height", self.height == nil),
            ].filter(\.1).map { "\($0.0) is required" }
            throw Self.invalid(missing)
        }
        return Source(
            id: "source-\(ULID(at: now))", name: name, url: url, width: width, height: height,
            refreshRate: self.refreshRate ?? 30, cssCustom: self.cssCustom ?? "", jsCustom: self.jsCustom ?? "",
            isActive: false,
            createdAt: now, updatedAt: now, activatedAt: nil, deactivatedAt: nil)
    }

    /// Throws when it would change nothing because it names no field.
    func requireAnyField() throws(APIFailure) {
        let isEmpty =
            self.name == nil && self.url == nil && self.width == nil && self.height == nil && self.refreshRate == nil
            && self.cssCustom == nil && self.jsCustom == nil && self.isActive == nil
        if isEmpty { throw Self.invalid(["at least one field of a source is required"]) }
    }

    /// Puts the fields into a source, and names those that changed, `isActive` last.
    func apply(to source: inout Source, at now: Timestamp) -> [String] {
        var changes: [String] = []
        func set<Value: Equatable>(_ name: String, _ value: Value?, _ field: WritableKeyPath<Source, Value>) {
            guard let value, source[keyPath: field] != value else { return }
            source[keyPath: field] = value
            changes.append(name)
        }
        set("name", self.name, \.name)
        set("url", self.url, \.url)
        set("width", self.width, \.width)
        set("height", self.height, \.height)
        set("refreshRate", self.refreshRate, \.refreshRate)
        set("cssCustom", self.cssCustom, \.cssCustom)
        set("jsCustom", self.jsCustom, \.jsCustom)
        if let isActive = self.isActive, isActive != source.isActive {
            source.setActive(isActive, at: now)
            changes.append("isActive")
        }
        if !changes.isEmpty { source.updatedAt = now }
        return changes
    }

    /// A local file would let whoever may write sources put any file of the OBS machine on air.
    private static func isWebAddress(_ text: String) -> Bool {
        guard let url = URL(string: text), let host = url.host(), !host.isEmpty else { return false }
        return ["http", "https"].contains(url.scheme?.lowercased())
    }

    fileprivate static func invalid(_ problems: [String]) -> APIFailure {
        APIFailure(.badRequest, "Validation failed: \(problems.joined(separator: "; "))")
    }
}

extension Source {
    mutating func setActive(_ isActive: Bool, at now: Timestamp) {
        self.isActive = isActive
        self.updatedAt = now
        if isActive { self.activatedAt = now } else { self.deactivatedAt = now }
    }
}

/// Takes fields out of a body and collects what is wrong with them.
private struct Reader {
    let body: [String: JSON]
    private var problems: [String] = []

    init(body: [String: JSON]) { self.body = body }

    mutating func text(_ name: String, _ rule: String, _ isValid: (String) -> Bool) -> String? {
        guard let value = self.body[name] else { return nil }
        // Postgres stores no NUL.
        guard let text = value.string, !text.utf8.contains(0), isValid(text) else {
            self.problems.append("\(name) \(rule)")
            return nil
        }
        return text
    }

    mutating func number(_ name: String, _ range: ClosedRange<Int>, unit: String) -> Int? {
        guard let value = self.body[name] else { return nil }
        guard case .integer(let number) = value, let number = Int(exactly: number), range.contains(number) else {
            self.problems.append("\(name) must be between \(range.lowerBound) and \(range.upperBound) \(unit)")
            return nil
        }
        return number
    }

    mutating func flag(_ name: String) -> Bool? {
        guard let value = self.body[name] else { return nil }
        if value.bool == nil { self.problems.append("\(name) must be true or false") }
        return value.bool
    }

    func finish() throws(APIFailure) {
        if !self.problems.isEmpty { throw SourceDraft.invalid(self.problems) }
    }
}
