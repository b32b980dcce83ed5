import HTTPTypes
public import Hummingbird
import Logging
import Metrics
import NIOCore

/// Counts requests, and turns whatever a handler threw into the API's own error body. Nothing internal leaves the process: an
/// unexpected error is logged and answered with 500. No answer is cached or taken for another content type, unless its route says so.
public struct FailureMiddleware<Context: RequestContext>: RouterMiddleware {
    /// An API's error body: content type and bytes.
    public typealias Shape = @Sendable (APIFailure, Request) -> (contentType: String, body: [UInt8])

    private let shape: Shape
    private let translate: @Sendable (any Error) -> APIFailure?
    private let requests: RequestCounts

    /// - Parameter translate: what this process knows of its libraries' errors.
    public init(
        requests: RequestCounts, shape: @escaping Shape, translate: @escaping @Sendable (any Error) -> APIFailure?
    ) {
        self.requests = requests
        self.shape = shape
        self.translate = translate
    }

    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        defer { self.requests.record(ContinuousClock.now - start) }
        var response = await self.response(to: request, context, next)
        if response.headers[.xContentTypeOptions] == nil { response.headers[.xContentTypeOptions] = "nosniff" }
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        return response
    }

    private func response(
        to request: Request, _ context: Context, _ next: (Request, Context) async throws -> Response
    ) async -> Response {
        do {
            return try await next(request, context)
        } catch {
            let failure = self.failure(from: error, context)
            let (contentType, body) = self.shape(failure, request)
            var headers = failure.headers
            headers[.contentType] = contentType
            return Response(status: failure.status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
        }
    }

    private func failure(from error: any Error, _ context: Context) -> APIFailure {
        if let failure = error as? APIFailure { return failure }
        if let failure = self.translate(error) { return failure }
        if let error = error as? HTTPError {
            return APIFailure(error.status, error.body ?? error.status.reasonPhrase, headers: error.headers)
        }
        if let error = error as? any HTTPResponseError {
            return APIFailure(error.status, error.status.reasonPhrase)
        }
        context.logger.error("A request failed", metadata: ["error": "\(error)"])
        return APIFailure(.internalServerError, "internal error")
    }
}
