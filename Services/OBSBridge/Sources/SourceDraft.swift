import DomainService
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
    private static let urlRule = "must be an absolute http or https URL of at most 2048 characters"
    private static let codeRule = "must be a string of at most 65536 bytes"

    /// Reads a body. What the service itself sets (`id`, `createdAt`, …) and what it does not know is passed over, so that a client
    /// can send back what it was given.
    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body, nullIsAbsent: false)
        var problems: [String] = []
        func read<Value>(_ member: @autoclosure () throws(APIFailure) -> Value?) -> Value? {
            do throws(APIFailure) {
                return try member()
            } catch {
                problems.append(error.message)
                return nil
            }
        }
        self.name = read(try members.text("name", 1...255))
        self.url = read(try members.text("url", Self.urlRule, where: Self.isWebAddress))
        self.width = read(try members.integer("width", Self.widths, "pixels"))
        self.height = read(try members.integer("height", Self.heights, "pixels"))
        self.refreshRate = read(try members.integer("refreshRate", Self.refreshRates, "seconds"))
        self.cssCustom = read(try members.text("cssCustom", Self.codeRule, where: Self.isCode))
        self.jsCustom = read(try members.text("jsCustom", Self.codeRule, where: Self.isCode))
        self.isActive = read(try members.bool("isActive"))
        if !problems.isEmpty { throw Self.invalid(problems) }
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
        guard text.utf8.count <= 2048, let url = URL(string: text), let host = url.host(), !host.isEmpty else {
            return false
        }
        return ["http", "https"].contains(url.scheme?.lowercased())
    }

    private static func isCode(_ text: String) -> Bool { text.utf8.count <= 65_536 }

    private static func invalid(_ problems: [String]) -> APIFailure {
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
