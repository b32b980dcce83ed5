import Events
import Testing

@testable import ForeignMessages
@testable import OBSBridge

@Suite struct OBSHandshakeTests {
    // The vector of contract obs-websocket §3.
    private static let salt = "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI="
    private static let challenge = "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY="
    private static let proof = "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="

    private static let plainHello = #"{"op":0,"d":{"obsWebSocketVersion":"5.5.2","rpcVersion":1}}"#
    private static let hello = """
        {"op":0,"d":{"obsStudioVersion":"30.2.3","obsWebSocketVersion":"5.5.2","rpcVersion":1,
        "authentication":{"challenge":"\(challenge)","salt":"\(salt)"}}}
        """
    private static let identified = #"{"op":2,"d":{"negotiatedRpcVersion":1}}"#
    private static let event = #"{"op":5,"d":{"eventType":"ExitStarted","eventIntent":1}}"#
    private static let response =
        #"{"op":7,"d":{"requestType":"GetStats","requestId":"1","requestStatus":{"result":true,"code":100}}}"#
    private static let unknown = #"{"op":99,"d":{}}"#
    private static let refusal = OBSHandshake.Action.fail("the server does not speak obs-websocket")

    private static func received(_ text: String, _ handshake: inout OBSHandshake) -> OBSHandshake.Action {
        handshake.received(OBSMessage(Array(text.utf8)))
    }

    /// What Identify carries.
    private static func identify(_ action: OBSHandshake.Action) throws -> JSON {
        guard case .send(let bytes) = action else {
            Issue.record("nothing was sent but \(action)")
            return .null
        }
        let message = try #require(JSON(parsing: bytes))
        #expect(message["op"] == 1)
        return try #require(message["d"])
    }

    @Test func `the proof is the one of the protocol`() {
        #expect(
            OBSHandshake.authentication(password: "supersecretpassword", salt: Self.salt, challenge: Self.challenge)
                == Self.proof)
    }

    @Test func `a password is proved and the link is there when OBS says so`() throws {
        var handshake = OBSHandshake(password: "supersecretpassword")
        let data = try Self.identify(Self.received(Self.hello, &handshake))
        #expect(
            data == ["rpcVersion": 1, "eventSubscriptions": 525_519, "authentication": .string(Self.proof)])
        #expect(Self.received(Self.identified, &handshake) == .done(websocketVersion: "5.5.2"))
    }

    @Test(arguments: [nil, "supersecretpassword"])
    func `where nobody has to authenticate nothing is proved`(password: String?) throws {
        var handshake = OBSHandshake(password: password)
        let data = try Self.identify(Self.received(Self.plainHello, &handshake))
        #expect(data == ["rpcVersion": 1, "eventSubscriptions": 525_519])
        #expect(Self.received(Self.identified, &handshake) == .done(websocketVersion: "5.5.2"))
    }

    @Test func `without a password OBS is left to say that it is wrong`() throws {
        var handshake = OBSHandshake(password: nil)
        let data = try Self.identify(Self.received(Self.hello, &handshake))
        let proof = OBSHandshake.authentication(password: "", salt: Self.salt, challenge: Self.challenge)
        #expect(data["authentication"] == .string(proof))
    }

    @Test(arguments: [identified, event, response, unknown, "", "x", "[]", "{}", #"{"op":0,"d":{}}"#])
    func `a server that does not begin with Hello is none of ours`(text: String) {
        var handshake = OBSHandshake(password: nil)
        #expect(Self.received(text, &handshake) == Self.refusal)
        // And it gets no second chance.
        #expect(Self.received(Self.plainHello, &handshake) == .wait)
    }

    @Test(arguments: [hello, response, "", "x", "[]", "{}", #"{"d":{}}"#, #"{"op":2}"#])
    func `what makes no sense while identifying ends it`(text: String) {
        var handshake = OBSHandshake(password: nil)
        _ = Self.received(Self.plainHello, &handshake)
        #expect(Self.received(text, &handshake) == Self.refusal)
        #expect(Self.received(Self.identified, &handshake) == .wait)
    }

    @Test(arguments: [event, unknown, #"{"op":4,"d":null}"#])
    func `events and messages of a later protocol are no harm while identifying`(text: String) {
        var handshake = OBSHandshake(password: nil)
        _ = Self.received(Self.plainHello, &handshake)
        #expect(Self.received(text, &handshake) == .wait)
        #expect(Self.received(Self.identified, &handshake) == .done(websocketVersion: "5.5.2"))
    }

    @Test(arguments: [
        #""challenge":"a""#, #""salt":"a""#, #""challenge":1,"salt":"a""#, #""challenge":"a","salt":null"#, "",
    ])
    func `a challenge that is not whole is no Hello`(members: String) {
        let text = #"{"op":0,"d":{"obsWebSocketVersion":"5.5.2","authentication":{\#(members)}}}"#
        #expect(OBSMessage(Array(text.utf8)) == nil)
        var handshake = OBSHandshake(password: "p")
        #expect(Self.received(text, &handshake) == Self.refusal)
    }

    @Test func `a null authentication is none`() throws {
        var handshake = OBSHandshake(password: "p")
        let text = #"{"op":0,"d":{"obsWebSocketVersion":"5.0.0","authentication":null}}"#
        #expect(try Self.identify(Self.received(text, &handshake))["authentication"] == nil)
    }
}
