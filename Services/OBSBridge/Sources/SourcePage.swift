/// Somebody's page with a script of the source's put into it.
struct SourcePage {
    /// As it goes to the browser, in the encoding that it came in.
    let bytes: [UInt8]

    /// - Parameter base: where the page is from: what it refers to is found there.
    init(html: [UInt8], base: String, script: String) {
        let small = html.map { (65...90).contains($0) ? $0 + 32 : $0 }
        let element = Self.element(script)
        let place = Self.last("</body", in: small) ?? html.count
        var bytes = Array(html[..<place]) + element + html[place...]
        if Self.first("<base", in: small) == nil {
            bytes.insert(
                contentsOf: Array("<base href=\"\(Self.attribute(base))\">".utf8), at: Self.headStart(of: small))
        }
        self.bytes = bytes
    }

    /// The page in a frame, and the script beside it, for a page that only the browser can fetch.
    init(framing address: String, script: String) {
        let style = "html,body,iframe{margin:0;border:0;width:100%;height:100%;display:block}"
        let frame = "<iframe src=\"\(Self.attribute(address))\"></iframe>"
        self.bytes =
            Array("<!doctype html><meta charset=utf-8><style>\(style)</style>\(frame)".utf8) + Self.element(script)
    }

    private static func element(_ script: String) -> [UInt8] {
        // A script ends at the first such text, wherever it stands.
        let code = script.replacing(/<\/(script)/.ignoresCase()) { "<\\/\($0.1)" }
        return Array("<script>\(code)</script>".utf8)
    }

    private static func attribute(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("\"", with: "&quot;")
    }

    /// Behind `<head …>`, else behind `<html …>`, else behind the document type.
    private static func headStart(of html: [UInt8]) -> Int {
        for tag in ["<head", "<html", "<!doctype"] {
            guard let start = Self.first(tag, in: html), let end = html[start...].firstIndex(of: UInt8(ascii: ">"))
            else {
                continue
            }
            // `<header>` is another thing.
            if tag == "<head", html[start + 5] == UInt8(ascii: "e") { continue }
            return end + 1
        }
        return 0
    }

    private static func first(_ text: String, in bytes: [UInt8]) -> Int? {
        bytes.firstRange(of: Array(text.utf8))?.lowerBound
    }

    private static func last(_ text: String, in bytes: [UInt8]) -> Int? {
        bytes.ranges(of: Array(text.utf8)).last?.lowerBound
    }
}
