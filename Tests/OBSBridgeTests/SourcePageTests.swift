import Testing

@testable import OBSBridge

@Suite struct SourcePageTests {
    private static func page(_ html: String, base: String = "https://a.example/b/", script: String = "go()") -> String {
        String(decoding: SourcePage(html: Array(html.utf8), base: base, script: script).bytes, as: UTF8.self)
    }

    private static let base = #"<base href="https://a.example/b/">"#

    @Test(arguments: [
        (
            "<!DOCTYPE html><html><head><title>t</title></head><body>x</body></html>",
            "<!DOCTYPE html><html><head>\(base)<title>t</title></head><body>x<script>go()</script></body></html>"
        ),
        (
            "<HTML><HEAD lang=en><TITLE>T</TITLE></HEAD><BODY>x</BODY></HTML>",
            "<HTML><HEAD lang=en>\(base)<TITLE>T</TITLE></HEAD><BODY>x<script>go()</script></BODY></HTML>"
        ),
        (
            "<html lang=de><body><header>h</header></body></html>",
            "<html lang=de>\(base)<body><header>h</header><script>go()</script></body></html>"
        ),
        ("<html><HEADER>h</HEADER>x", "<html>\(base)<HEADER>h</HEADER>x<script>go()</script>"),
        ("<!doctype html><p>x", "<!doctype html>\(base)<p>x<script>go()</script>"),
        ("x", "\(base)x<script>go()</script>"), ("", "\(base)<script>go()</script>"),
        ("<head", "\(base)<head<script>go()</script>"), ("x<html", "\(base)x<html<script>go()</script>"),
        (
            "<body><pre>&lt;</body></pre><p>y</body >",
            "\(base)<body><pre>&lt;</body></pre><p>y<script>go()</script></body >"
        ),
    ])
    func `base and script find their places`(html: String, page: String) { #expect(Self.page(html) == page) }

    @Test(arguments: ["<head><base href='/x/'></head><body></body>", "<HEAD><BASE TARGET=_top></HEAD><body></body>"])
    func `a page with a base of its own keeps it alone`(html: String) {
        #expect(Self.page(html) == html.replacing("</body>", with: "<script>go()</script></body>"))
    }

    @Test func `an address is quoted`() {
        let page = Self.page("<head></head>", base: #"https://a.example/?a=1&b="><script>x"#)
        #expect(page.hasPrefix(#"<head><base href="https://a.example/?a=1&amp;b=&quot;><script>x"></head>"#))
    }

    @Test(arguments: ["</script", "</SCRIPT", "</Script"])
    func `a script with its own end in a text stays whole`(end: String) {
        let page = Self.page("<body></body>", script: "a('\(end)>')")
        let ends = page.lowercased().ranges(of: "</script")
        #expect(ends.count == 1)
        #expect(page.hasSuffix("')</script></body>"))
    }

    @Test func `bytes of another encoding stay as they are`() {
        // ISO 8859-1.
        let html = Array("<head></head><body>Z".utf8) + [0xFC] + Array("rich</body>".utf8)
        let bytes = SourcePage(html: html, base: "https://a.example/b/", script: "go()").bytes
        #expect(
            bytes == Array("<head>\(Self.base)</head><body>Z".utf8) + [0xFC]
                + Array("rich<script>go()</script></body>".utf8))
    }

    @Test func `a page that only the browser can fetch is framed, with the script behind it`() {
        let page = String(
            decoding: SourcePage(framing: #"http://a.example/?a=1&b="><b>"#, script: "a('</script>')").bytes,
            as: UTF8.self)
        #expect(page.hasPrefix("<!doctype html>"))
        #expect(
            page.hasSuffix(
                #"<iframe src="http://a.example/?a=1&amp;b=&quot;><b>"></iframe><script>a('<\/script>')</script>"#))
    }
}
