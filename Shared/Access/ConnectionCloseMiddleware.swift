import HTTPTypes
public import Hummingbird
import NIOCore

/// Closes the connection after the answer to whoever asks for that in other letters than `close`: the option's case does not matter
/// (RFC 9110 §7.6.1), Hummingbird knows it in lower case only, and nginx-rtmp, which writes `Close`, reads until the end.
public struct ConnectionCloseMiddleware: RouterMiddleware {
    public init() {}

    public func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        guard let option = request.headers[.connection], option != "close", option.lowercased() == "close" else {
            return response
        }
        let (body, channel) = (response.body, context.channel)
        response.headers[.connection] = "close"
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            try await body.write(writer)
            // `try?`: the client may have closed it already.
            try? await channel.close(mode: .output)
        }
        return response
    }
}
