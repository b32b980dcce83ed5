import FoundationEssentials
import HTTPTypes
import ServiceKit

/// A token request with client credentials (RFC 6749 §4.4.2), and who the client says it is (§2.3.1).
struct TokenForm: Equatable {
    let clientID: String
    let clientSecret: String
    let scope: String?

    static let contentType = "application/x-www-form-urlencoded"

    /// - Parameter authorization: the field `Authorization`. `Basic` is the client's; another scheme is none of our business.
    init(_ body: [UInt8], authorization: String?) throws(APIFailure) {
        let parameters = try Self.parameters(of: body)
        guard let grant = parameters["grant_type"] else { throw Self.invalid("grant_type is required") }
        guard grant == "client_credentials" else {
            throw APIFailure(.badRequest, code: "unsupported_grant_type", "grant_type must be client_credentials")
        }
        self.scope = parameters["scope"]
        let (id, secret) = (parameters["client_id"], parameters["client_secret"])
        if let authorization, authorization.lowercased().hasPrefix("basic") {
            guard secret == nil else { throw Self.invalid("The client authenticates in more than one way") }
            guard let basic = Self.basic(authorization) else { throw Self.invalidClient }
            guard id == nil || id == basic.id else { throw Self.invalid("client_id is another client's") }
            (self.clientID, self.clientSecret) = basic
        } else {
            guard let id, let secret else { throw Self.invalidClient }
            (self.clientID, self.clientSecret) = (id, secret)
        }
    }

    static let invalidClient = APIFailure(
        .unauthorized, code: "invalid_client", "The client is not known, or its secret is wrong",
        headers: [.wwwAuthenticate: "Basic realm=\"crosspoint\""])

    private static func invalid(_ message: String) -> APIFailure {
        APIFailure(.badRequest, code: "invalid_request", message)
    }

    /// One without a value counts as left out, and none may come twice (RFC 6749 §3.2).
    private static func parameters(of body: [UInt8]) throws(APIFailure) -> [String: String] {
        var parameters: [String: String] = [:]
        for pair in body.split(separator: UInt8(ascii: "&")) {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(halves[0]), let value = Self.decode(halves.count == 2 ? halves[1] : []) else {
                throw Self.invalid("The form does not decode")
            }
            guard !value.isEmpty else { continue }
            guard parameters.updateValue(value, forKey: name) == nil else {
                throw Self.invalid("A parameter comes more than once")
            }
        }
        return parameters
    }

    private static func basic(_ header: String) -> (id: String, secret: String)? {
        let words = header.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "basic", let data = Data(base64Encoded: String(words[1]))
        else {
            return nil
        }
        let halves = Array(data).split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, let id = Self.decode(halves[0]), let secret = Self.decode(halves[1]) else {
            return nil
        }
        return (id, secret)
    }

    /// Undoes the form's encoding; `nil`: not UTF-8, a control character, or a broken escape.
    private static func decode(_ text: ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2,
                    let decoded = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))?.first
                else { return nil }
                bytes.append(decoded)
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        guard bytes.allSatisfy({ $0 >= 32 && $0 != 127 }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}
