import Events
import Testing

@Suite struct EventsDocumentTests {
    private let rows = Table.rows(of: "docs/events.md")

    @Test func `it lists the catalogue's types in the catalogue's order`() {
        #expect(rows.map { Table.code($0[0]) } == Catalogue.entries.map { "\($0.type)" })
    }

    @Test(arguments: Catalogue.entries)
    func `it says of a type what the catalogue says`(entry: CatalogueEntry) throws {
        let row = try #require(rows.first { Table.code($0[0]) == "\(entry.type)" })
        #expect(row.count == 5)
        #expect(row[1] == "\(entry.durability)")
        #expect(Table.code(row[2]) == entry.scope?.name ?? "none")
        #expect(row[3] == Self.word(entry.room))
        #expect(!row[4].isEmpty)
    }

    private static func word(_ room: RoomKind) -> String {
        switch room {
        case .none: "none"
        case .obsConnection: "OBS connection"
        case .source, .stream, .channel, .station, .camera: "\(room)"
        }
    }
}
