import Events
import Foundation

/// One row of a table in `Tables/`: a request that nobody with good intentions sends, and how it must be refused.
///
/// In every text `<name>` stands for something that the stage has made (see `HostileStage`), and `<x*300>` for 300 times `x`.
struct HostileRow: Decodable, Sendable {
    let name: String
    /// `POST` unless given.
    let method: String?
    /// auth unless given.
    let service: ServiceName?
    let path: String
    /// The bearer credential.
    let bearer: String?
    let headers: [String: String]?
    // One of these is the body.
    let json: JSON?
    let text: String?
    let form: [[String]]?
    let hex: String?
    /// The content type, if it is not that of the body; empty: none.
    let type: String?
    let status: Int
    /// The error's code, wherever the path has it.
    let code: String?
    /// `details.field`.
    let field: String?
    /// The error with which the browser is sent back to the client; `-`: it must not be.
    let redirect: String?
    /// Headers of the answer, each with a part of its value.
    let answers: [String: String]?
    /// Members of an answer that is no error.
    let body: [String: JSON]?
    /// Where the brief leaves it open: what decided.
    let why: String?

    var isForm: Bool { self.form != nil }

    /// Everything in which a placeholder can stand.
    var texts: [String] {
        [
            self.path, self.bearer ?? "", self.text ?? "",
            self.json.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "",
        ]
            + (self.headers.map { Array($0.values) } ?? []) + (self.form ?? []).flatMap(\.self)
    }
}

/// The tables beside this file.
enum HostileTables {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Tables")

    static func rows<Row: Decodable>(_ table: String, of: Row.Type = HostileRow.self) throws -> [Row] {
        let bytes = try Data(contentsOf: self.folder.appending(path: "\(table).json"))
        do {
            return try JSONDecoder().decode([Row].self, from: bytes)
        } catch {
            throw Suite.Failure(description: "\(table).json: \(error)")
        }
    }
}

/// What stands for something else in a row.
enum Placeholders {
    /// The names in a text, `<x*3>` left out.
    static func names(in text: String) -> [String] { text.matches(of: /<([a-z][a-z0-9.-]*)>/).map { String($0.1) } }

    static func fill(_ text: String, with values: [String: String]) -> String {
        text.replacing(/<(.[^<>*]*)\*(\d+)>/) { String(repeating: String($0.1), count: Int($0.2) ?? 0) }
            .replacing(/<([a-z][a-z0-9.-]*)>/) { values[String($0.1)] ?? String($0.0) }
    }
}
