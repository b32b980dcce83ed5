import Configuration
import Database
import ServiceKit

extension DatabaseConfiguration {
    /// | key | type | default | |
    /// | --- | --- | --- | --- |
    /// | `database.url` | secret string | required | libpq URI or conninfo |
    /// | `database.connections` | int | 4 | connections in the pool, 1 to 64; those for the log are apart |
    init(_ config: ConfigReader, schema: String) throws {
        guard let url = config.string(forKey: "database.url", isSecret: true) else {
            throw ConfigurationError(key: "database.url", problem: "is required, for example postgresql:///crosspoint")
        }
        let connections = config.int(forKey: "database.connections", default: 4)
        guard (1...64).contains(connections) else {
            throw ConfigurationError(key: "database.connections", problem: "must be from 1 to 64")
        }
        self.init(url: url, schema: schema, connections: connections)
    }
}
