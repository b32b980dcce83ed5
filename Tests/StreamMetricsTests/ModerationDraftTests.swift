import Events
import ServiceKit
import Testing

@testable import StreamMetrics

@Suite struct ModerationDraftTests {
    @Test(arguments: [("block", Moderation.blocked), ("flag", .flagged), ("allow", .allowed)])
    func `an action has its outcome`(action: String, outcome: Moderation) throws {
        let draft = try ModerationDraft(["action": .string(action), "reason": "spam"])
        #expect(draft.action.outcome == outcome && draft.reason == "spam")
        #expect(try ModerationDraft(["action": .string(action)]).reason == nil)
    }

    @Test(
        arguments: [
            [:], ["action": .null], ["action": "delete"], ["action": 1], ["action": "block", "reason": 1],
            ["action": "block", "reason": "a\u{0}"],
            ["action": "block", "reason": .string(String(repeating: "x", count: 501))],
            ["action": "block", "until": "tomorrow"],
        ] as [[String: JSON]])
    func `anything else is refused`(body: [String: JSON]) {
        #expect(throws: APIFailure.self) { try ModerationDraft(body) }
    }
}
