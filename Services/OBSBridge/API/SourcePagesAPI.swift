import Access
import DomainService
import Downloads
import Events
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceKit

/// The pages of sources that have a script: the source's own page with the script in it. Who knows the address may see it.
struct SourcePagesAPI {
    let sources: Sources
    let pages: SourcePages

    private static let bytesMax = 4 * 1024 * 1024
    private static let timeout = Duration.seconds(10)

    func add(to router: Router<APIContext>) {
        router.get("/source-pages/:id/:code") { try await self.page($1) }
    }

    @Sendable
    private func page(_ context: APIContext) async throws -> Response {
        let id = try context.text("id")
        guard self.pages.isCode(try context.text("code"), of: id) else { throw Sources.notFound }
        let source = try await self.sources.find(id)
        guard let url = URL(string: source.url), !source.jsCustom.isEmpty else { return Self.redirect(to: source.url) }
        do {
            let document = try await HTTPDownload.document(
                from: url, accept: "text/html", bytesMax: Self.bytesMax, redirects: .anywhere, within: Self.timeout)
            guard document.contentType.lowercased().hasPrefix("text/html") else { return Self.redirect(to: source.url) }
            let page = SourcePage(html: document.bytes, base: document.url.absoluteString, script: source.jsCustom)
            return Self.html(page.bytes, contentType: document.contentType)
        } catch is HTTPDownload.Failure {
            // OBS may reach what the bridge does not.
            let page = SourcePage(framing: source.url, script: source.jsCustom)
            return Self.html(page.bytes, contentType: "text/html; charset=utf-8")
        }
    }

    /// The page is somebody else's. In a sandbox it is no part of this server, whose API would else be open to it.
    private static func html(_ bytes: [UInt8], contentType: String) -> Response {
        var headers: HTTPFields = [.contentType: contentType, .cacheControl: "no-store"]
        headers[.contentSecurityPolicy] = "sandbox allow-scripts allow-forms"
        headers[.xContentTypeOptions] = "nosniff"
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private static func redirect(to url: String) -> Response {
        Response(status: .found, headers: [.location: url])
    }
}
