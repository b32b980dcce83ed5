import Access
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What somebody sends who asks for a credential.
protocol CredentialBody: Decodable {
    /// Its members. Another one is refused: it may be a restriction that the asker believes to hold.
    static var members: Set<String> { get }
}

extension Request {
    /// Reads the body strictly. Throws 415 for another content type, 400 for anything that is not such an object.
    func credentialBody<Body: CredentialBody>(_ type: Body.Type, _ context: APIContext) async throws -> Body {
        let object = try await self.decodeObject(context)
        if let unknown = object.keys.filter({ !Body.members.contains($0) }).min() {
            throw APIFailure(
                .badRequest, "The body has a member that is not known here",
                details: ["field": String(unknown.prefix(64)), "reason": "unknown"])
        }
        // No body has a fraction in it, and the decoder would not say where one is.
        let fraction = object.filter { if case .number = $0.value { true } else { false } }.keys.min()
        if let fraction {
            throw APIFailure(
                .badRequest, "\(fraction) must be a whole number", details: ["field": fraction, "reason": "number"])
        }
        do {
            return try JSON.decode(type, from: JSON.object(object).bytes)
        } catch let error as DecodingError {
            throw APIFailure(
                .badRequest, error.shortDescription, details: error.field.map { ["field": $0] } ?? [:])
        }
    }
}

extension Request {
    /// The same where a body may be left out.
    func optionalCredentialBody<Body: CredentialBody>(
        _ type: Body.Type, _ context: APIContext
    ) async throws -> Body? {
        // Chunked, or a length that is not 0.
        let isEmpty = self.headers[.contentLength].map { $0 == "0" } ?? (self.headers[.transferEncoding] == nil)
        return isEmpty ? nil : try await self.credentialBody(type, context)
    }
}

extension HTTPFields {
    private static let pragma = HTTPField.Name("Pragma")

    /// No cache keeps what goes with these (RFC 6749 §5.1): it holds a secret.
    mutating func forbidStoring() {
        self[.cacheControl] = "no-store"
        if let pragma = Self.pragma { self[pragma] = "no-cache" }
    }
}

extension Response {
    /// A JSON body with a secret in it.
    static func secret(_ value: some Encodable, status: HTTPResponse.Status = .created) -> Response {
        var response = Response.json(value, status: status)
        response.headers.forbidStoring()
        return response
    }
}

extension DecodingError {
    /// The member of the body that is missing or wrong.
    fileprivate var field: String? {
        switch self {
        case .keyNotFound(let key, let context): (context.codingPath.first ?? key).stringValue
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.first?.stringValue
        @unknown default: nil
        }
    }
}
