/// SQL with its parameters: `"SELECT name FROM stations WHERE id = \(id)"` sends `$1` and the value apart from it.
///
/// Numbers, booleans, moments, JSON and arrays are sent with their type; text takes the type that its place asks for (`uuid`,
/// an enum, …). Where a place asks for none, say it: `\(room)::text IS NULL`.
public struct Query: Sendable, ExpressibleByStringInterpolation {
    /// The SQL around the parameters: one more than there are parameters.
    private(set) var fragments: [String]
    private(set) var parameters: [Parameter]

    public init(stringLiteral sql: String) {
        self.fragments = [sql]
        self.parameters = []
    }

    public init(stringInterpolation: StringInterpolation) { self = stringInterpolation.query }

    private init() { self.init(stringLiteral: "") }

    /// The text with `$1`, `$2`, … in it.
    var sql: String {
        var sql = self.fragments[0]
        for (index, fragment) in self.fragments.dropFirst().enumerated() { sql += "$\(index + 1)\(fragment)" }
        return sql
    }

    private mutating func append(_ sql: String) { self.fragments[self.fragments.count - 1] += sql }

    private mutating func append(_ parameter: Parameter) {
        self.parameters.append(parameter)
        self.fragments.append("")
    }

    /// Puts another piece behind this one; its parameters are renumbered.
    public static func += (left: inout Query, right: Query) {
        left.append(right.fragments[0])
        left.fragments += right.fragments.dropFirst()
        left.parameters += right.parameters
    }

    public static func + (left: Query, right: Query) -> Query {
        var sum = left
        sum += right
        return sum
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var query = Query()

        public init(literalCapacity: Int, interpolationCount: Int) {}

        public mutating func appendLiteral(_ literal: String) { self.query.append(literal) }

        public mutating func appendInterpolation(_ value: some QueryValue) { self.query.append(value.parameter) }

        public mutating func appendInterpolation<Value: QueryValue>(_ value: Value?) {
            self.query.append(value?.parameter ?? Parameter(type: Value.parameterType, text: nil))
        }

        /// Another query, parameters and all.
        public mutating func appendInterpolation(_ query: Query) { self.query += query }

        /// Splices SQL as it is: for names that we chose ourselves, never for anything from outside.
        public mutating func appendInterpolation(unescaped sql: String) { self.query.append(sql) }
    }
}
