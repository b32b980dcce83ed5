/// The head of an HTTP/1.1 request: request line and header fields (RFC 9112 §3, §5).
struct RequestHead: Sendable, Equatable {
    var method: String
    /// As it was sent: path and query.
    var target: String
    /// Names in lower case; a repeated field's values are joined with commas.
    var headers: [String: String]
    /// What came behind the empty line.
    var leftover: [UInt8]

    /// A head may be that long, in bytes.
    static let bytesMax = 16 << 10

    enum Progress: Equatable {
        case incomplete
        case complete(RequestHead)
        case malformed
        /// It is longer than `bytesMax`, or will be.
        case tooLong
    }

    /// - Parameter searched: so many bytes are known to hold no end of the head.
    static func parse(_ bytes: [UInt8], searched: Int = 0) -> Progress {
        guard let end = Self.endOfHead(bytes, from: max(0, searched - 3)) else {
            return bytes.count > Self.bytesMax ? .tooLong : .incomplete
        }
        guard end + 4 <= Self.bytesMax else { return .tooLong }
        guard let text = String(validating: bytes[..<end], as: UTF8.self) else { return .malformed }
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        guard let first = lines.popFirst() else { return .malformed }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[1].hasPrefix("/"), words[2] == "HTTP/1.1" else {
            return .malformed
        }
        var headers: [String: String] = [:]
        // A bare carriage return, line feed or NUL is a line end to some and not to others (RFC 9110 §5.5).
        guard Self.isWithoutControls(first), lines.allSatisfy(Self.isWithoutControls) else { return .malformed }
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return .malformed }
            let name = line[..<colon].lowercased()
            // A blank before the colon is an old way to smuggle fields past proxies (RFC 9112 §5.1).
            guard name.utf8.allSatisfy(Self.tokenBytes.contains) else { return .malformed }
            let value = Self.trim(line[line.index(after: colon)...])
            headers[name] = headers[name].map { "\($0), \(value)" } ?? value
        }
        return .complete(
            RequestHead(
                method: String(words[0]), target: String(words[1]), headers: headers,
                leftover: Array(bytes[(end + 4)...])))
    }

    /// Whether a comma-separated field contains that token, whatever its case.
    func header(_ name: String, contains token: String) -> Bool {
        self.headers[name]?.split(separator: ",").contains { Self.trim($0).lowercased() == token } ?? false
    }

    /// RFC 9110 §5.6.2, in lower case.
    private static let tokenBytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8)

    private static func isWithoutControls(_ line: Substring) -> Bool {
        line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= start + 4 else { return nil }
        return (start...bytes.count - 4).first { index in
            bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10
        }
    }

    private static func trim(_ text: Substring) -> String {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }
}
