import HTTPTypes
public import Hummingbird
import NIOCore
@_exported public import Requests

extension Request {
    /// Reads a form. Throws 400 for another content type (RFC 6749 §5.2 has no other status for it), 413 for one that is too long.
    public func form() async throws -> FormParameters {
        let type = self.headers[.contentType]?.split(separator: ";").first?.lowercased() ?? ""
        guard type.filter({ $0 != " " }) == FormParameters.contentType else {
            throw FormParameters.invalid("The body must be \(FormParameters.contentType)")
        }
        do {
            return try FormParameters(try await self.body.collect(upTo: FormParameters.bytesMax).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw APIFailure(.contentTooLarge, code: "invalid_request", "The form is too large")
        }
    }
}
