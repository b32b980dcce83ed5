import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceKit
import Testing

private struct Unknown: Error {}
private struct Known: Error {}

@Suite struct FailureMiddlewareTests {
    private struct Context: RequestContext {
        var coreContext: CoreRequestContextStorage
        init(source: Source) { self.coreContext = .init(source: source) }
        struct Source: RequestContextSource {
            var logger: Logger
        }
    }

    /// Takes a response's body.
    private struct Collector: ResponseBodyWriter {
        final class Box {
            var bytes: [UInt8] = []
        }
        let box = Box()
        mutating func write(_ buffer: ByteBuffer) async throws { self.box.bytes += Array(buffer.readableBytesView) }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    private let counts = RequestCounts()

    private func answer(to path: String = "/", _ failure: any Error) async throws -> (response: Response, body: String)
    {
        let router = Router(context: Context.self)
        router.middlewares.add(
            FailureMiddleware(requests: self.counts) { failure, _ in
                ("application/problem+json", Array("\(failure.code ?? "-"): \(failure.message)".utf8))
            } translate: {
                $0 is Known ? .unavailable("the database is away") : nil
            })
        router.get("/") { _, _ -> Response in throw failure }
        router.get("/fine") { _, _ in Response(status: .ok) }
        router.get("/public") { _, _ in Response(status: .ok, headers: [.cacheControl: "max-age=60"]) }
        let request = Request(
            head: HTTPRequest(method: .get, scheme: "http", authority: "test", path: path),
            body: .init(buffer: ByteBuffer()))
        let context = Context(source: .init(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
        let response = try await router.buildResponder().respond(to: request, context: context)
        let collector = Collector()
        try await response.body.write(collector)
        return (response, String(decoding: collector.box.bytes, as: UTF8.self))
    }

    @Test func `a failure keeps its status, code, message and headers`() async throws {
        let failure = APIFailure(.conflict, code: "taken", "The name is taken", headers: [.retryAfter: "7"])
        let (response, body) = try await self.answer(failure)
        #expect(response.status == .conflict)
        #expect(response.headers[.retryAfter] == "7")
        #expect(response.headers[.contentType] == "application/problem+json")
        #expect(body == "taken: The name is taken")
        #expect(self.counts.count == 1)
    }

    @Test func `what the process knows of its libraries is used`() async throws {
        let (response, body) = try await self.answer(Known())
        #expect(response.status == .serviceUnavailable)
        #expect(response.headers[.retryAfter] == "2")
        #expect(body == "-: the database is away")
    }

    @Test func `an unexpected error says nothing of itself`() async throws {
        let (response, body) = try await self.answer(Unknown())
        #expect(response.status == .internalServerError)
        #expect(body == "-: internal error")
    }

    @Test(arguments: ["/", "/fine", "/nowhere"])
    func `no cache keeps an answer, and no browser guesses what it is`(path: String) async throws {
        let headers = try await self.answer(to: path, Known()).response.headers
        #expect(headers[.cacheControl] == "no-store" && headers[.xContentTypeOptions] == "nosniff")
    }

    @Test func `a route may say how long its answer can be kept`() async throws {
        let headers = try await self.answer(to: "/public", Known()).response.headers
        #expect(headers[.cacheControl] == "max-age=60" && headers[.xContentTypeOptions] == "nosniff")
    }

    @Test func `the framework's errors have the same shape`() async throws {
        let refused = try await self.answer(HTTPError(.badRequest, message: "no"))
        #expect(refused.body == "-: no")
        let (response, body) = try await self.answer(to: "/nowhere", Unknown())
        #expect(response.status == .notFound)
        #expect(body == "-: Not Found")
    }
}
