import Crypto
import Testing

@testable import OBSBridge

@Suite struct SourcePagesTests {
    private static let pages = Self.pages(1)

    private static func pages(_ byte: UInt8) -> SourcePages {
        SourcePages(
            publicURL: "http://127.0.0.1:3030", secret: SymmetricKey(data: Array(repeating: byte, count: 32)))
    }

    @Test func `only a source with a script is shown through a page of ours`() {
        #expect(Self.pages.address(of: source("source-1", url: "https://a.example/b")) == "https://a.example/b")
        #expect(
            Self.pages.address(of: source("source-1", js: "x()"))
                == "http://127.0.0.1:3030/source-pages/source-1/\(Self.pages.code(for: "source-1"))")
    }

    @Test func `a code opens one page only`() {
        let code = Self.pages.code(for: "source-1")
        #expect(Self.pages.isCode(code, of: "source-1"))
        #expect(!Self.pages.isCode(code, of: "source-2"))
        let wrong = [
            "", "0", code + "0", String(code.dropLast()), code.uppercased(),
            String(code.dropLast()) + (code.last == "0" ? "1" : "0"),
            (code.first == "0" ? "1" : "0") + code.dropFirst(),
            String(repeating: "\u{E4}", count: 16), String(repeating: "0", count: 32),
        ]
        for text in wrong { #expect(!Self.pages.isCode(text, of: "source-1")) }
    }

    @Test func `a code is of one text and one key, in 32 digits`() {
        let code = Self.pages.code(for: "source-1")
        #expect(code.count == 32 && code.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        #expect(code == Self.pages.code(for: "source-1"))
        #expect(code != Self.pages.code(for: "source-2"))
        #expect(code != Self.pages(2).code(for: "source-1"))
    }
}
