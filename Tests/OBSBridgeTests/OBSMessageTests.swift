import Events
import Testing

@testable import ForeignMessages
@testable import OBSBridge

@Suite struct OBSMessageTests {
    private static func event(_ text: String) throws -> OBSEvent {
        guard case .event(let event) = OBSMessage(Array(text.utf8)) else { throw NotThat(text: text) }
        return event
    }

    private static func answer(_ text: String) throws -> (id: String, answer: OBSAnswer) {
        guard case .response(let id, let answer) = OBSMessage(Array(text.utf8)) else { throw NotThat(text: text) }
        return (id, answer)
    }

    private struct NotThat: Error { let text: String }

    @Test func `an event has its data`() throws {
        let event = try Self.event(
            #"{"op":5,"d":{"eventType":"SceneCreated","eventIntent":4,"eventData":{"sceneName":"A","isGroup":false}}}"#)
        #expect(event == OBSEvent(type: "SceneCreated", data: ["sceneName": "A", "isGroup": false]))
        #expect(event["sceneName"] == "A")
        #expect(event["isGroup"] == nil)
        #expect(event["other"] == nil)
    }

    @Test(arguments: [
        #"{"op":5,"d":{"eventType":"ExitStarted","eventIntent":1}}"#,
        #"{"d":{"eventIntent":1,"eventType":"ExitStarted"},"op":5.0}"#,
    ])
    func `an event without data has none`(text: String) throws {
        let event = try Self.event(text)
        #expect(event == OBSEvent(type: "ExitStarted", data: [:]))
        #expect(event["sceneName"] == nil)
    }

    @Test func `an answer without data has none, and counts`() throws {
        let (id, answer) = try Self.answer(
            #"{"op":7,"d":{"requestType":"StartStream","requestId":"7","requestStatus":{"result":true,"code":100}}}"#)
        #expect(id == "7")
        #expect(answer.type == "StartStream")
        #expect(try answer.get() == [:])
    }

    @Test func `a refusal says which request, why and with which code`() throws {
        let (_, answer) = try Self.answer(
            #"{"op":7,"d":{"requestType":"A","requestId":"1","requestStatus":{"result":false,"code":600,"comment":"no"}}}"#
        )
        #expect(throws: OBSFailure.refused(request: "A", code: 600, comment: "no")) { try answer.get() }
        let (_, plain) = try Self.answer(
            #"{"op":7,"d":{"requestType":"A","requestId":"1","requestStatus":{"result":false,"code":205.0}}}"#)
        #expect(throws: OBSFailure.refused(request: "A", code: 205, comment: nil)) { try plain.get() }
    }

    @Test func `fields of a later version are passed over`() throws {
        // As 5.7 has them.
        let event = try Self.event(
            """
            {"op":5,"new":1,"d":{"eventType":"SceneItemCreated","eventIntent":128,"canvas":{"a":[]},"eventData":
            {"canvasUuid":"c","sceneName":"A","sceneUuid":"u","sourceName":"S","sceneItemId":3,"sceneItemIndex":0}}}
            """)
        #expect(event["sceneName"] == "A" && event["canvasUuid"] == "c")
        let (id, answer) = try Self.answer(
            """
            {"op":7,"d":{"requestType":"GetSceneList","requestId":"9","requestStatus":{"result":true,"code":100,"more":{}},
            "responseData":{"canvasUuid":null,"scenes":[]},"more":1}}
            """)
        #expect(id == "9")
        #expect(try answer.get()["scenes"] == [])
    }

    @Test func `a batch has the answers of those that were carried out, in order`() throws {
        let text = """
            {"op":9,"d":{"requestId":"b","results":[
            {"requestType":"A","requestStatus":{"result":true,"code":100},"responseData":{"x":1}},
            {"requestType":"B","requestStatus":{"result":false,"code":600,"comment":"no"}}]}}
            """
        guard case .batchResponse(let id, let answers) = OBSMessage(Array(text.utf8)) else { throw NotThat(text: text) }
        #expect(id == "b")
        #expect(answers.map(\.type) == ["A", "B"])
        #expect(answers.map(\.code) == [100, 600])
        #expect(answers[0].data == ["x": 1])
    }

    @Test(arguments: [
        "", "null", "[]", "{}", "5", #""x""#, "{", "\u{0}", #"{"op":5}"#, #"{"op":"5","d":{"eventType":"A"}}"#,
        #"{"op":5.5,"d":{"eventType":"A"}}"#, #"{"op":5,"d":{}}"#, #"{"op":5,"d":[]}"#, #"{"op":5,"d":null}"#,
        #"{"op":5,"d":{"eventType":5}}"#, #"{"op":7,"d":{"requestId":"1"}}"#,
        #"{"op":7,"d":{"requestType":"A","requestStatus":{"code":100}}}"#,
        #"{"op":7,"d":{"requestType":"A","requestId":1,"requestStatus":{"code":100}}}"#,
        #"{"op":7,"d":{"requestType":"A","requestId":"1","requestStatus":{"code":"100"}}}"#,
        #"{"op":7,"d":{"requestType":"A","requestId":"1","requestStatus":{"code":1e300}}}"#,
        #"{"op":7,"d":{"requestType":"A","requestId":"1","requestStatus":true}}"#,
        #"{"op":9,"d":{"requestId":"1"}}"#, #"{"op":9,"d":{"requestId":"1","results":{}}}"#,
        #"{"op":0,"d":{"rpcVersion":1}}"#, #"{"op":0,"d":"5.5.2"}"#,
    ])
    func `what is not a message of the protocol is nil`(text: String) { #expect(OBSMessage(Array(text.utf8)) == nil) }

    @Test func `bytes that are no text are nil`() { #expect(OBSMessage([0xFF, 0xFE, 0x7B, 0x7D]) == nil) }

    @Test(arguments: [
        ("7", 7), ("7.0", 7), ("-3.0", -3), ("1e3", 1000), ("7.5", nil), ("\"7\"", nil), ("null", nil), ("true", nil),
        ("1e300", nil),
    ])
    func `a number with a fraction of 0 is whole`(text: String, value: Int64?) {
        #expect(JSON(parsing: Array(text.utf8))?.integer == value)
    }

    @Test func `a request is written as the protocol has it`() {
        #expect(
            JSON(parsing: OBSRequest("SetStudioModeEnabled", ["studioModeEnabled": true]).message(id: "12"))
                == [
                    "op": 6,
                    "d": [
                        "requestType": "SetStudioModeEnabled", "requestId": "12",
                        "requestData": ["studioModeEnabled": true],
                    ],
                ])
        #expect(
            JSON(parsing: OBSRequest.batch([OBSRequest("GetStats"), OBSRequest("A", ["b": 1])], id: "3"))
                == [
                    "op": 8,
                    "d": [
                        "requestId": "3",
                        "requests": [
                            ["requestType": "GetStats", "requestData": [:]],
                            ["requestType": "A", "requestData": ["b": 1]],
                        ],
                    ],
                ])
    }
}
