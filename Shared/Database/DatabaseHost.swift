internal import CLibpq

/// One of the servers that a database URL names.
struct DatabaseHost: Equatable {
    /// The libpq parameters that select this host alone: `host`, `hostaddr`, `port`.
    var parameters: [String: String]

    /// Parameters for every URL that does not set them itself. A service writes, so a server that only reads (a standby, before its
    /// promotion) is of no use to it; and a server whose machine fails must be noticed without anybody asking it something.
    static let defaults: [(String, String)] = [
        ("target_session_attrs", "read-write"), ("keepalives_idle", "5"), ("keepalives_interval", "2"),
        ("keepalives_count", "3"), ("tcp_user_timeout", "10000"),
    ]

    /// Returns the hosts of a URL that names several, in its order; none if it names one, or is wrong: then libpq reports it.
    static func all(in url: String) -> [DatabaseHost] {
        guard let options = PQconninfoParse(url, nil) else { return [] }
        defer { PQconninfoFree(options) }
        var lists: [(keyword: String, values: [String])] = []
        var option = options
        while let keyword = option.pointee.keyword.map({ String(cString: $0) }) {
            if ["host", "hostaddr", "port"].contains(keyword), let value = option.pointee.val {
                let values = String(cString: value).split(separator: ",", omittingEmptySubsequences: false)
                lists.append((keyword, values.map(String.init)))
            }
            option += 1
        }
        let count = lists.map(\.values.count).max() ?? 1
        // One port may be that of all hosts.
        guard count > 1,
            lists.allSatisfy({ $0.values.count == count || ($0.keyword == "port" && $0.values.count == 1) })
        else { return [] }
        return (0..<count).map { index in
            let own = lists.map { ($0.keyword, $0.values.count == 1 ? $0.values[0] : $0.values[index]) }
            return DatabaseHost(parameters: Dictionary(uniqueKeysWithValues: own))
        }
    }
}
