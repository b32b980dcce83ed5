/// The head of an HTTP/1.1 request: request line and header fields (RFC 9112 §3, §5).
package struct RequestHead: Sendable, Equatable {
    package var method: String
    /// As it was sent: path and query.
    package var target: String
    /// Names in lower case; a repeated field's values are joined with commas.
    package var headers: [String: String]
    /// What came behind the empty line.
    package var leftover: [UInt8]

    /// A head may be that long, in bytes.
    package static let bytesMax = 16 << 10

    package enum Progress: Equatable {
        case incomplete
        case complete(RequestHead)
        case malformed
        /// It is longer than `bytesMax`, or will be.
        case tooLong
    }

    /// - Parameter searched: so many bytes are known to hold no end of the head.
    package static func parse(_ bytes: [UInt8], searched: Int = 0) -> Progress {
        // An empty line in front belongs to nothing (RFC 9112 §2.2).
        let start = bytes.starts(with: [13, 10]) ? 2 : 0
        guard let end = Self.endOfHead(bytes, from: max(start, searched - 3)) else {
            return bytes.count > Self.bytesMax ? .tooLong : .incomplete
        }
        guard end + 4 <= Self.bytesMax else { return .tooLong }
        guard var lines = Self.lines(bytes[start..<end])?[...], let first = lines.popFirst(),
            let (method, target) = Self.requestLine(first)
        else { return .malformed }
        var headers: [String: String] = [:]
        headers.reserveCapacity(lines.count)
        for line in lines {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { return .malformed }
            // A blank before the colon is an old way to smuggle fields past proxies (RFC 9112 §5.1).
            guard line[..<colon].allSatisfy({ Self.isTokenByte[Int($0)] }) else { return .malformed }
            let name = String(decoding: line[..<colon].map(Self.inLowerCase), as: UTF8.self)
            // Values may be in any encoding (RFC 9110 §5.5); what is not UTF-8 is none of those that matter here.
            let value = String(decoding: Self.trim(line[(colon + 1)...]), as: UTF8.self)
            headers[name] = headers[name].map { "\($0), \(value)" } ?? value
        }
        // Two readers may understand other things by two hosts, or by a body that none of us reads (RFC 9112 §3.2, §6).
        guard let host = headers["host"], !host.utf8.contains(UInt8(ascii: ",")), headers["transfer-encoding"] == nil,
            ["0", nil].contains(headers["content-length"])
        else { return .malformed }
        return .complete(
            RequestHead(method: method, target: target, headers: headers, leftover: Array(bytes[(end + 4)...])))
    }

    /// `nil`: there is a byte that does not belong into a line. A bare carriage return, line feed or NUL is a line end to some and not
    /// to others (RFC 9110 §5.5).
    private static func lines(_ head: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
        var lines: [ArraySlice<UInt8>] = []
        lines.reserveCapacity(16)
        var (start, index) = (head.startIndex, head.startIndex)
        while index < head.endIndex {
            let byte = head[index]
            if byte == 13, index + 1 < head.endIndex, head[index + 1] == 10 {
                lines.append(head[start..<index])
                index += 2
                start = index
            } else {
                guard byte >= 0x20 && byte != 0x7F || byte == 0x09 else { return nil }
                index += 1
            }
        }
        lines.append(head[start...])
        return lines
    }

    /// Method and target, for HTTP/1.1 only.
    private static func requestLine(_ line: ArraySlice<UInt8>) -> (method: String, target: String)? {
        guard let first = line.firstIndex(of: 32), first > line.startIndex else { return nil }
        let rest = line[(first + 1)...]
        guard let second = rest.firstIndex(of: 32), line[(second + 1)...].elementsEqual("HTTP/1.1".utf8),
            let target = Self.path(of: Substring(decoding: rest[..<second], as: UTF8.self))
        else { return nil }
        return (String(decoding: line[..<first], as: UTF8.self), target)
    }

    /// Whether a comma-separated field contains that token, whatever its case.
    package func header(_ name: String, contains token: String) -> Bool {
        self.headers[name]?.utf8.split(separator: UInt8(ascii: ",")).contains { member in
            Self.trim(member).lazy.map(Self.inLowerCase).elementsEqual(token.utf8)
        } ?? false
    }

    /// RFC 9110 §5.6.2.
    private static let isTokenByte: [Bool] = {
        let bytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        return (0...255).map { bytes.contains($0) }
    }()

    private static func inLowerCase(_ byte: UInt8) -> UInt8 { 65...90 ~= byte ? byte + 32 : byte }

    /// A target's path and query; of one in absolute form (RFC 9112 §3.2.2) without what names the server. `nil`: it has none.
    private static func path(of target: Substring) -> String? {
        guard !target.hasPrefix("/") else { return String(target) }
        guard let scheme = ["http://", "https://"].first(where: target.lowercased().hasPrefix) else { return nil }
        let rest = target.dropFirst(scheme.count)
        guard let first = rest.first, first != "/", first != "?" else { return nil }
        let path = rest.drop { $0 != "/" && $0 != "?" }
        return path.hasPrefix("/") ? String(path) : "/" + path
    }

    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= start + 4 else { return nil }
        return (start...bytes.count - 4).first { index in
            bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10
        }
    }

    private static func trim<Text: BidirectionalCollection<UInt8>>(_ text: Text) -> Text.SubSequence {
        let isBlank: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
        guard let end = text.lastIndex(where: { !isBlank($0) }) else { return text.prefix(0) }
        return text[...end].drop(while: isBlank)
    }
}
