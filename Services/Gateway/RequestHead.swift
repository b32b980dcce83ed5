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
        // An empty line in front belongs to nothing (RFC 9112 §2.2).
        let start = bytes.starts(with: [13, 10]) ? 2 : 0
        guard let end = Self.endOfHead(bytes, from: max(start, searched - 3)) else {
            return bytes.count > Self.bytesMax ? .tooLong : .incomplete
        }
        guard end + 4 <= Self.bytesMax else { return .tooLong }
        // Values may be in any encoding (RFC 9110 §5.5); what is not UTF-8 is none of those that matter here.
        let text = String(decoding: bytes[start..<end], as: UTF8.self)
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        guard let first = lines.popFirst() else { return .malformed }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[2] == "HTTP/1.1", let target = Self.path(of: words[1]) else {
            return .malformed
        }
        var headers: [String: String] = [:]
        // A bare carriage return, line feed or NUL is a line end to some and not to others (RFC 9110 §5.5).
        guard Self.isWithoutControls(first), lines.allSatisfy(Self.isWithoutControls) else { return .malformed }
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return .malformed }
            // A blank before the colon is an old way to smuggle fields past proxies (RFC 9112 §5.1).
            guard line[..<colon].utf8.allSatisfy(Self.tokenBytes.contains) else { return .malformed }
            let name = line[..<colon].lowercased()
            let value = Self.trim(line[line.index(after: colon)...])
            headers[name] = headers[name].map { "\($0), \(value)" } ?? value
        }
        // Two readers may understand other things by two hosts, or by a body that none of us reads (RFC 9112 §3.2, §6).
        guard let host = headers["host"], !host.contains(","), headers["transfer-encoding"] == nil,
            ["0", nil].contains(headers["content-length"])
        else { return .malformed }
        return .complete(
            RequestHead(
                method: String(words[0]), target: target, headers: headers,
                leftover: Array(bytes[(end + 4)...])))
    }

    /// Whether a comma-separated field contains that token, whatever its case.
    func header(_ name: String, contains token: String) -> Bool {
        self.headers[name]?.split(separator: ",").contains { member in
            let member = Self.trim(member)
            // Some letters that are not ASCII have an ASCII one as their small form.
            return member.utf8.count == token.utf8.count && member.lowercased() == token
        } ?? false
    }

    /// RFC 9110 §5.6.2.
    private static let tokenBytes = Set(
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    /// A target's path and query; of one in absolute form (RFC 9112 §3.2.2) without what names the server. `nil`: it has none.
    private static func path(of target: Substring) -> String? {
        guard !target.hasPrefix("/") else { return String(target) }
        guard let scheme = ["http://", "https://"].first(where: target.lowercased().hasPrefix) else { return nil }
        let rest = target.dropFirst(scheme.count)
        guard let first = rest.first, first != "/", first != "?" else { return nil }
        let path = rest.drop { $0 != "/" && $0 != "?" }
        return path.hasPrefix("/") ? String(path) : "/" + path
    }

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
