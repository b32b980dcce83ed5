import Events
import ServiceKit
import Testing

@testable import RadioPlayout

@Suite struct StationTests {
    @Test(arguments: [
        ("A1B2C3D4-0000-4000-8000-000000000000", false), ("a1b2c3d4-0000-4000-8000-000000000000", true), ("", false),
        ("a1b2c3d4", false), ("a1b2c3d4-0000-4000-8000-00000000000\u{0}", false),
    ])
    func `an id is a UUID as we write it`(text: String, isID: Bool) { #expect(Station.isID(text) == isID) }

    @Test func `a new id is one`() { #expect(Station.isID(Station.makeID())) }

    @Test(
        arguments: [
            (["name": 7], "invalid_name"), (["name": "  "], "invalid_name"), (["name": ""], "invalid_name"),
            (["name": "a\u{0}"], "invalid_name"),
            (["name": .string(String(repeating: "a", count: 201))], "invalid_name"),
            (["description": true], "invalid_description"), (["timezone": []], "invalid_timezone"),
            (["public": "yes"], "invalid_public"),
        ] as [([String: JSON], String)])
    func `a member that is not valid is named`(body: [String: JSON], code: String) {
        let failure = #expect(throws: APIFailure.self) { try StationDraft(body) }
        #expect(failure.map(RadioErrorShape.code) == code)
    }

    @Test func `a description may be empty and null says nothing`() throws {
        let draft = try StationDraft(["name": nil, "description": "", "other": 1])
        #expect(draft.name == nil)
        #expect(draft.description == "")
    }
}
