import Configuration
import Events
import ServiceKit
import Testing

@Suite struct ConfigurationDocumentTests {
    /// Read before a process has anything that could be built in a test.
    private static let ofEveryProcess: Set<String> = ["config.filePath", "log.level"]

    private struct Documented {
        let key: String
        let variable: String
        let type: String
        let standard: String

        /// A row about `<service>` stands for one row a service.
        static func all() -> [Documented] {
            Table.rows(of: "docs/configuration.md").flatMap { cells -> [Documented] in
                let (key, variable) = (Table.code(cells[0]), Table.code(cells[1]))
                guard key.contains("<service>") else {
                    return [Documented(key: key, variable: variable, type: cells[2], standard: Table.code(cells[3]))]
                }
                return ServiceName.allCases.filter { key.hasPrefix("bus.") ? $0 != .gateway : true }.map { service in
                    Documented(
                        key: key.replacing("<service>", with: service.rawValue),
                        variable: variable.replacing(
                            "<SERVICE>", with: service.rawValue.replacing("-", with: "_").uppercased()),
                        type: cells[2], standard: "")
                }
            }
        }
    }

    @Test func `it lists the keys that the configurations read, and no others`() throws {
        let read = Set(try RecordedKeys().byKey.keys).union(Self.ofEveryProcess)
        let documented = Documented.all().map(\.key)
        #expect(Set(documented) == read)
        #expect(Set(documented).count == documented.count)
    }

    @Test func `no key is read elsewhere`() {
        let documented = Set(Documented.all().map(\.key))
        for path in Repository.textFiles where path.hasSuffix(".swift") && !path.hasPrefix("Tests/") {
            for match in (Repository.text(path) ?? "").matches(of: /forKey: "([a-z][A-Za-z.-]*)"/) {
                #expect(documented.contains(String(match.1)), "\(path) reads \(match.1)")
            }
        }
    }

    @Test func `each key has the type and the default that the document says`() throws {
        let read = try RecordedKeys().byKey
        for row in Documented.all() {
            guard let reading = read[row.key] else { continue }
            #expect(Self.word(reading.type) == row.type, "\(row.key)")
            guard !row.standard.isEmpty else { continue }
            let isUnset = ["none", "required"].contains(row.standard)
            #expect(reading.value == (isUnset ? nil : Self.standard(row.standard)), "\(row.key)")
        }
    }

    @Test func `each environment variable sets its key`() {
        for row in Documented.all() {
            let config = ConfigReader(
                provider: EnvironmentVariablesProvider(environmentVariables: [row.variable: "here"]))
            #expect(config.string(forKey: ConfigKey(row.key)) == "here", "\(row.variable) should set \(row.key)")
        }
    }

    private static func word(_ type: String) -> String { type == "stringArray" ? "list" : type }

    /// What the document's default comes to when nothing is set.
    private static func standard(_ text: String) -> String {
        if let sum = text.wholeMatch(of: /ports\.base \+ (\d+)/), let offset = Int(sum.1) { return "\(3000 + offset)" }
        return text.replacing("<ports.base>", with: "3000").replacing("<port>", with: "3020")
            .replacing("<http.host>", with: "127.0.0.1").replacing(/^ports\.base$/, with: "3000")
            .replacing(/^http\.host$/, with: "127.0.0.1")
            .replacing("the machine's name", with: HostName.own)
    }
}
