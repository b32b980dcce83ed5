import Events
import Testing

@testable import Auth

@Suite struct AuditPartitionsTests {
    private typealias Month = AuditPartitions.Month

    @Test(
        arguments: [
            ("2026-11-21T12:00:00.000Z", "audit_202611", "2026-11-01", "2026-12-01"),
            ("2026-12-31T23:59:59.999Z", "audit_202612", "2026-12-01", "2027-01-01"),
            ("2028-02-29T00:00:00.000Z", "audit_202802", "2028-02-01", "2028-03-01"),
        ])
    func `a month has a table and two ends`(moment: String, table: String, start: String, end: String) throws {
        let month = Month(of: try #require(Timestamp(iso8601: moment)))
        #expect(month.table == table && month.start == start && month.next.start == end)
        #expect(Month(table: table) == month && month < month.next)
    }

    @Test(arguments: ["audit_default", "audit", "audit_2026", "audit_20261", "audit_2026111", "event_log_20261121"])
    func `another table is no month's`(name: String) { #expect(Month(table: name) == nil) }
}
