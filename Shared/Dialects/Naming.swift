internal import Events

extension Catalogue {
    /// What clients may see: all but `auth.*`, which is for gateways and services.
    static let shown: [CatalogueEntry] = Self.entries.filter { $0.type.domain != "auth" }
}

extension EventType {
    /// Its name without the domain that is the dialect's own: `now_playing` of `radio.now_playing`.
    func name(without domain: String) -> String {
        self.domain == domain ? String(self.name.dropFirst(domain.count + 1)) : self.name
    }
}

extension Event {
    /// The room that a client asks for: the event's, or its tenant for an event without one.
    var roomOrTenant: String { self.room.isEmpty ? self.tenant : self.room }
}

/// A filter key of two parts. The separator is in no event type, so two different pairs never make the same key.
func filterKey(_ type: some StringProtocol, _ room: some StringProtocol) -> String { "\(type)\u{1F}\(room)" }

/// The first part of such a key.
func filterName(_ key: String) -> String { String(key.prefix { $0 != "\u{1F}" }) }

extension [String] {
    /// Each member once, in order of first appearance.
    var unique: [String] {
        var seen: Set<String> = []
        return self.filter { seen.insert($0).inserted }
    }
}
