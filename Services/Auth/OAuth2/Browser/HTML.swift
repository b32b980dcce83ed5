/// Text for a page: whatever is put into it is escaped, unless it is `HTML` itself.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) { self.text = text }
    init(stringInterpolation: StringInterpolation) { self.text = stringInterpolation.text }

    /// Pieces one after the other.
    init(_ pieces: [HTML]) { self.text = pieces.map(\.text).joined() }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) {}

        mutating func appendLiteral(_ literal: String) { self.text += literal }
        mutating func appendInterpolation(_ html: HTML) { self.text += html.text }
        mutating func appendInterpolation(_ text: String) { self.text += HTML.escape(text) }
    }

    /// For text and for attributes in double quotes.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
