import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import ForeignMessages
@testable import OBSBridge

@Suite struct OBSFailureTests {
    // Contract obs-websocket §7; what is in the way of an output's state is a conflict.
    @Test(arguments: [
        (203, 500), (204, 500), (205, 500), (206, 500), (207, 503), (300, 400), (301, 400), (400, 400), (401, 400),
        (402, 400), (403, 400), (404, 400), (500, 409), (501, 409), (502, 409), (503, 409), (504, 409), (505, 409),
        (506, 409), (600, 404), (601, 409), (602, 500), (603, 500), (604, 409), (605, 400), (606, 500), (607, 500),
        (700, 500), (701, 500), (702, 500), (703, 400), (0, 500), (-1, 500), (299, 500), (405, 500), (9999, 500),
    ])
    func `a refusal of OBS has a status`(code: Int, status: Int) {
        let failure = OBSFailure.refused(request: "A", code: code, comment: "no").apiFailure
        #expect(failure.status.code == status)
        #expect(failure.message == "OBS refused A: no")
    }

    @Test func `one that passes says when to come again`() {
        let failure = OBSFailure.refused(request: "A", code: 207, comment: nil).apiFailure
        #expect(failure.headers[.retryAfter] == "1")
        #expect(failure.message == "OBS refused A: code 207")
        #expect(OBSFailure.refused(request: "A", code: 600, comment: nil).apiFailure.headers[.retryAfter] == nil)
    }

    @Test func `an OBS that is not there or does not answer is not the client's fault`() {
        #expect(OBSFailure.notConnected.apiFailure.status == .serviceUnavailable)
        #expect(OBSFailure.notConnected.apiFailure.message == "OBS is not connected. Please connect to OBS first.")
        let late = OBSFailure.timedOut(request: "A").apiFailure
        #expect(late.status == .serviceUnavailable && late.headers[.retryAfter] == "2")
        #expect(late.message == "OBS did not answer A in time")
        #expect(OBSFailure.notConnected.code == nil && OBSFailure.timedOut(request: "A").code == nil)
    }

    @Test func `a code may have other words`() throws {
        let words = [600: APIFailure(.notFound, "Scene not found")]
        let told = OBSFailure.refused(request: "A", code: 600, comment: "no").told(words)
        #expect((told as? APIFailure)?.message == "Scene not found")
        for failure in [OBSFailure.refused(request: "A", code: 601, comment: nil), .notConnected] {
            #expect(failure.told(words) as? OBSFailure == failure)
        }
    }

    @Test func `a long name is cut`() {
        let message = APIFailure.notInOBS("Scene", String(repeating: "n", count: 5000)).message
        #expect(message == "Scene '\(String(repeating: "n", count: 200))' not found in OBS")
    }

    @Test(
        arguments: [
            (4000, false), (4002, false), (4003, false), (4004, false), (4005, false), (4006, false), (4007, false),
            (4008, false), (4009, true), (4010, true), (4011, true), (4012, false), (1000, false), (1001, false),
            (1006, false),
        ] as [(UInt16, Bool)])
    func `only three close codes are the end of trying`(code: UInt16, isFinal: Bool) {
        #expect(OBSLinkFailure.closed(code: code, reason: "r").isFinal == isFinal)
    }

    @Test(arguments: [OBSLinkFailure.unreachable("4009"), .lost("4011"), .silent])
    func `what passes is tried again`(failure: OBSLinkFailure) { #expect(!failure.isFinal) }

    @Test(
        arguments: [
            (4009, "authentication failed: the password is wrong or missing"),
            (4010, "OBS speaks another version of obs-websocket"), (4011, "the session was ended in OBS"),
            (1001, "OBS closed the connection (1001: stopping)"),
        ] as [(UInt16, String)])
    func `a close code is said in words`(code: UInt16, message: String) {
        #expect(OBSLinkFailure.closed(code: code, reason: "stopping").message == message)
    }
}
