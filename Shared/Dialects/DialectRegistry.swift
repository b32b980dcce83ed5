/// The dialects, and which of them an upgrade request means (docs/dialects/README.md §2).
public enum DialectRegistry {
    public static let all: [any Dialect] = [SourceSaver(), Astro(), Wave(), Grimnir(), Airys()]

    /// The dialect of a request on the listener with that place after the edge's first port; `nil`: no such path.
    public static func route(_ request: UpgradeRequest, listener: Int) -> (any Dialect)? {
        Self.route(path: request.path, query: request.query, host: request.headers["host"], listener: listener)
    }

    /// Paths are exact. `host` is the Host header.
    public static func route(
        path: String, query: [(name: String, value: String)] = [], host: String?, listener: Int
    ) -> (any Dialect)? {
        if let dialect = Self.byPath[path] { return dialect }
        guard path == "/" else { return nil }
        if query.contains(where: { $0.name == "reconnect_token" }) || host?.lowercased().hasPrefix("astro.") == true {
            return Self.all.first { $0.profile.name == .astro }
        }
        return Self.all.first { $0.profile.listener == listener }
    }

    private static let byPath: [String: any Dialect] = Dictionary(
        uniqueKeysWithValues: Self.all.flatMap { dialect in dialect.profile.paths.map { ($0, dialect) } })
}
