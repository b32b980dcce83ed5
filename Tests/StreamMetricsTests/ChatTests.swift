import Testing

@testable import StreamMetrics

@Suite struct ChatTests {
    @Test(arguments: ["a", String(repeating: "é", count: 1000), " ", "\u{1F468}\u{200D}\u{1F469}"])
    func `a line of 1 to 1000 characters is fine`(line: String) {
        #expect(Chat.problem(with: line) == nil)
    }

    @Test(arguments: ["", String(repeating: "a", count: 1001), "a\0b"])
    func `any other line is refused`(line: String) {
        #expect(Chat.problem(with: line) != nil)
    }
}

@Suite struct ReactionsTests {
    @Test(arguments: ["👍", "👍🏽", "👨‍👩‍👧‍👦", "❤️", "❤", "🇩🇪", "1️⃣", "©️"])
    func `one emoji is a reaction`(text: String) {
        #expect(Reactions.isReaction(text))
    }

    @Test(arguments: [
        "", "a", "1", "#", "©", "👍👍", "👍a", " ", "\0", "é", "👍" + String(repeating: "\u{0301}", count: 15),
    ])
    func `anything else is not`(text: String) {
        #expect(!Reactions.isReaction(text))
    }
}
