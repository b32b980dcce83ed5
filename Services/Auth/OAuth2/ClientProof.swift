import FoundationEssentials
import HTTPTypes
import ServiceKit

/// Who a client says it is, and how it proves it (RFC 6749 §2.3.1).
struct ClientProof: Equatable, Sendable {
    let id: String
    /// `nil`: a public client has none.
    let secret: String?

    /// Throws 400 (`invalid_request`) for several ways at once, 401 (`invalid_client`) for none.
    /// - Parameter authorization: the field `Authorization`. `Basic` is the client's; another scheme is none of our business.
    init(_ form: FormParameters, authorization: String?) throws(APIFailure) {
        let (id, secret) = (form["client_id"], form["client_secret"])
        guard let authorization, Self.isBasic(authorization) else {
            guard let id else { throw Self.invalidClient }
            (self.id, self.secret) = (id, secret)
            return
        }
        guard secret == nil else {
            throw FormParameters.invalid("The client authenticates in more than one way")
        }
        guard let basic = Self.basic(authorization) else { throw Self.invalidClient }
        guard id == nil || id == basic.id else { throw FormParameters.invalid("client_id is another client's") }
        (self.id, self.secret) = (basic.id, basic.secret)
    }

    /// With a challenge even where the client did not use `Basic`: a 401 has one (RFC 9110 §15.5.2).
    static let invalidClient = APIFailure(
        .unauthorized, code: "invalid_client", "The client is not known, or its secret is wrong",
        headers: [.wwwAuthenticate: "Basic realm=\"crosspoint\", charset=\"UTF-8\""])

    static func isBasic(_ authorization: String) -> Bool { authorization.lowercased().hasPrefix("basic") }

    private static func basic(_ header: String) -> (id: String, secret: String)? {
        let words = header.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "basic", let data = Data(base64Encoded: String(words[1]))
        else {
            return nil
        }
        let halves = Array(data).split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, let id = FormParameters.decode(halves[0]),
            let secret = FormParameters.decode(halves[1])
        else {
            return nil
        }
        return (id, secret)
    }
}
