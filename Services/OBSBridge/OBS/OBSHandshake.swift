import Crypto
import Events
import ForeignMessages
import Foundation

/// Hello, Identify, Identified (contract obs-websocket §3): messages in, what to do out.
struct OBSHandshake {
    enum Action: Equatable {
        case send([UInt8])
        case done(websocketVersion: String)
        /// It is no server of obs-websocket, or not one of ours.
        case fail(String)
        case wait
    }

    private enum State {
        case awaitingHello
        case identifying(version: String)
        case ended
    }

    private let password: String?
    private var state = State.awaitingHello

    /// General, Config, Scenes, Inputs, Outputs, SceneItems, Ui and SceneItemTransformChanged (contract obs-websocket §4).
    static let eventSubscriptions: Int64 = 525_519

    init(password: String?) { self.password = password }

    mutating func received(_ message: OBSMessage?) -> Action {
        switch (self.state, message) {
        case (.awaitingHello, .hello(let hello)):
            self.state = .identifying(version: hello.websocketVersion)
            return .send(self.identify(hello))
        case (.identifying(let version), .identified):
            self.state = .ended
            return .done(websocketVersion: version)
        case (.identifying, .event), (.identifying, .other): return .wait
        case (_, nil), (.awaitingHello, _), (.identifying, _):
            self.state = .ended
            return .fail("the server does not speak obs-websocket")
        case (.ended, _): return .wait
        }
    }

    private func identify(_ hello: OBSHello) -> [UInt8] {
        var data: [String: JSON] = ["rpcVersion": 1, "eventSubscriptions": .integer(Self.eventSubscriptions)]
        if let (challenge, salt) = hello.challenge {
            data["authentication"] = .string(
                Self.authentication(password: self.password ?? "", salt: salt, challenge: challenge))
        }
        return JSON.object(["op": 1, "d": .object(data)]).bytes
    }

    /// The proof that one knows the password.
    static func authentication(password: String, salt: String, challenge: String) -> String {
        func digest(_ text: String) -> String {
            Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
        }
        return digest(digest(password + salt) + challenge)
    }
}
