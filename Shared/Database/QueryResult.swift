internal import CLibpq

/// A `PGresult`, copied into values.
struct QueryResult: Sendable {
    var rows: [Row] = []
    /// What the server says it did: `COMMIT`, `INSERT 0 1`, …
    var command = ""
    var error: DatabaseError?
    /// Not a statement's result, but the end of what was sent together.
    var isEnd = false

    // libpq's field codes are character macros, which Swift does not import.
    private static let sqlState = Int32(UInt8(ascii: "C"))
    private static let primaryMessage = Int32(UInt8(ascii: "M"))
    private static let constraintName = Int32(UInt8(ascii: "n"))

    init(_ result: OpaquePointer) {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            self.command = PQcmdStatus(result).map { String(cString: $0) } ?? ""
            self.rows = Self.rows(of: result)
        case PGRES_PIPELINE_SYNC: self.isEnd = true
        // It was not run, for an earlier one failed.
        case PGRES_PIPELINE_ABORTED: break
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            self.error = .query(sqlState: "0A000", message: "COPY is not supported here")
        default:
            let text = { (field: Int32) in PQresultErrorField(result, field).map { String(cString: $0) } }
            // Without a state the server did not say this: libpq lost it.
            guard let state = text(Self.sqlState) else {
                self.error = .unavailable(PQresultErrorMessage(result).map { String(cString: $0) } ?? "connection lost")
                return
            }
            self.error = DatabaseError(
                sqlState: state, message: text(Self.primaryMessage) ?? "", constraint: text(Self.constraintName) ?? "")
        }
    }

    private static func rows(of result: OpaquePointer) -> [Row] {
        let (rowCount, columnCount) = (PQntuples(result), PQnfields(result))
        guard rowCount > 0 else { return [] }
        var columns: [String: Int] = [:]
        for column in 0..<columnCount { columns[String(cString: PQfname(result, column))] = Int(column) }
        return (0..<rowCount).map { row in
            var bytes: [UInt8] = []
            let ranges = (0..<columnCount).map { column -> Range<Int>? in
                guard PQgetisnull(result, row, column) == 0 else { return nil }
                let start = bytes.count
                bytes += UnsafeRawBufferPointer(
                    start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
                return start..<bytes.count
            }
            return Row(columns: columns, bytes: bytes, ranges: ranges)
        }
    }
}
