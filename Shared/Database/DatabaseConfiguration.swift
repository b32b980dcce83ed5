/// Where a service's data is.
public struct DatabaseConfiguration: Sendable {
    /// Anything libpq connects to: `postgresql://…`, or `host=… dbname=…`. It may hold a password: never log it.
    public var url: String
    /// The service's own schema; every connection's `search_path` is this alone.
    public var schema: String
    /// How many connections the pool keeps.
    public var connections: Int
    /// The server ends a statement after this; one that does not even answer loses its connection two seconds later.
    public var statementTimeout: Duration
    /// How long a caller waits for a connection before it hears `unavailable`.
    public var waitMax: Duration
    /// Tells the pool from the service's others in metrics and logs.
    public var pool = "service"
    /// The server's settings for each of the connections. Names and values are ours, never from outside.
    var settings: [(name: String, value: String)] = []

    public init(
        url: String, schema: String, connections: Int = 4, statementTimeout: Duration = .seconds(10),
        waitMax: Duration = .seconds(5)
    ) {
        self.url = url
        self.schema = schema
        self.connections = connections
        self.statementTimeout = statementTimeout
        self.waitMax = waitMax
    }

    /// Returns the configuration of a pool of two connections that read the event log and do nothing else.
    ///
    /// A statement ends after two seconds, and the planner goes by the indexes even where statistics say that reading a whole partition
    /// were cheaper: each of the log's statements has an index that bounds it, see `LogStatement`.
    /// - Parameter waitMax: how long a caller waits for one of the connections.
    public func forLog(pool: String, waitMax: Duration) -> DatabaseConfiguration {
        var configuration = self
        configuration.connections = 2
        configuration.statementTimeout = .seconds(2)
        configuration.waitMax = waitMax
        configuration.pool = pool
        configuration.settings = ["enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"].map { ($0, "off") }
        return configuration
    }

    /// The schema's name as an SQL identifier.
    var quotedSchema: String {
        "\"" + self.schema.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// A number for an advisory lock, the same in every process for the same schema and purpose (FNV-1a).
    func lockKey(_ purpose: String) -> Int64 {
        let hash = "\(purpose)/\(self.schema)".utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        return Int64(bitPattern: hash)
    }
}
