import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import StreamMetrics

@Suite struct StreamDraftTests {
    @Test func `a draft with a title and a protocol gets every default`() throws {
        let draft = try StreamDraft(["title": "Show", "protocol": "srt"])
        #expect(draft.title == "Show")
        #expect(draft.description == nil)
        #expect(draft.protocol == .srt)
        #expect(draft.recording == ["enabled": false, "format": nil])
        #expect(draft.transcoding == ["enabled": false, "profiles": []])
    }

    @Test func `a draft keeps what it names`() throws {
        let draft = try StreamDraft([
            "title": .string(String(repeating: "é", count: 200)), "protocol": "webrtc", "description": "d",
            "recording": ["enabled": true, "format": "mp4"], "transcoding": ["enabled": true, "profiles": ["720p"]],
        ])
        #expect(draft.description == "d")
        #expect(draft.recording == ["enabled": true, "format": "mp4"])
        #expect(draft.transcoding == ["enabled": true, "profiles": ["720p"]])
    }

    @Test(arguments: [
        (#"{"protocol":"srt"}"#, "title"), (#"{"title":"","protocol":"srt"}"#, "title"),
        (#"{"title":null,"protocol":"srt"}"#, "title"), (#"{"title":1,"protocol":"srt"}"#, "title"),
        (#"{"title":"a"}"#, "protocol"), (#"{"title":"a","protocol":"SRT"}"#, "protocol"),
        (#"{"title":"a","protocol":7}"#, "protocol"),
        (#"{"title":"a","protocol":"srt","description":[]}"#, "description"),
        (#"{"title":"a","protocol":"srt","recording":true}"#, "recording"),
        (#"{"title":"a","protocol":"srt","recording":{"enabled":"yes"}}"#, "recording.enabled"),
        (#"{"title":"a","protocol":"srt","recording":{"format":""}}"#, "recording.format"),
        (#"{"title":"a","protocol":"srt","transcoding":{"profiles":["a",1]}}"#, "transcoding.profiles"),
    ])
    func `a bad member is refused by its name`(body: String, field: String) throws {
        let body = try #require(JSON(parsing: Array(body.utf8))?.object)
        let failure = #expect(throws: APIFailure.self) { try StreamDraft(body) }
        #expect(failure?.status == .badRequest)
        #expect(failure?.details["field"] == field)
    }

    @Test func `a title of 201 characters is too long`() {
        #expect(throws: APIFailure.self) {
            try StreamDraft(["title": .string(String(repeating: "a", count: 201)), "protocol": "srt"])
        }
    }

    @Test func `a NUL character is refused wherever it is`() throws {
        for body in [#"{"title":"a\u0000","protocol":"srt"}"#, #"{"title":"a","protocol":"srt","x":[{"\u0000":1}]}"#] {
            let body = try #require(JSON(parsing: Array(body.utf8))?.object)
            #expect(throws: APIFailure.self) { try StreamDraft(body) }
        }
    }
}

@Suite struct StreamPatchTests {
    private let stream: Stream

    init() throws {
        let draft = try StreamDraft([
            "title": "Show", "protocol": "srt", "description": "d", "recording": ["enabled": true],
        ])
        self.stream = Stream(draft, tenant: "default", at: Timestamp(milliseconds: 0))
    }

    @Test func `what a patch does not name stays`() throws {
        let patched = try StreamPatch(["title": "New"]).applied(to: self.stream, at: Timestamp(milliseconds: 5))
        #expect(patched.title == "New")
        #expect(patched.description == "d")
        #expect(patched.recording == ["enabled": true, "format": nil])
        #expect(patched.updatedAt == Timestamp(milliseconds: 5))
    }

    @Test func `a null description takes it away, a null title is refused`() throws {
        #expect(try StreamPatch(["description": nil]).applied(to: self.stream, at: .now).description == nil)
        #expect(throws: APIFailure.self) { try StreamPatch(["title": nil]) }
    }

    @Test(arguments: ["status", "protocol", "id", "other"])
    func `nothing else can be changed`(name: String) {
        let failure = #expect(throws: APIFailure.self) { try StreamPatch([name: "live"]) }
        #expect(failure?.details["field"] == name)
    }
}
