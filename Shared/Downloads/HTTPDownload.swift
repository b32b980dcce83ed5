public import Foundation
internal import FoundationNetworking
internal import NIOConcurrencyHelpers

/// Fetches a small document from another server.
public enum HTTPDownload {
    public enum Failure: Error, Equatable { case status(Int), tooLarge, unreachable(String), tooSlow }

    public struct Document: Sendable {
        public var bytes: [UInt8]
        /// The value of `Content-Type`; empty: the server did not say.
        public var contentType: String
        /// Where it was in the end.
        public var url: URL
    }

    /// How far redirects are followed.
    public enum Redirects: Sendable {
        /// To another place on the same server: scheme, host and port.
        case onServer
        case anywhere
    }

    /// Throws `Failure`; any status but 200 is one.
    public static func document(
        from url: URL, accept: String, bytesMax: Int, redirects: Redirects, within timeout: Duration
    ) async throws -> Document {
        try await Transfer.document(from: url, accept, bytesMax, redirects, timeout)
    }
}

private final class Transfer: NSObject, URLSessionDataDelegate {
    typealias Failure = HTTPDownload.Failure
    typealias Document = HTTPDownload.Document

    private struct State {
        var bytes: [UInt8] = []
        var contentType = ""
        var finalURL: URL?
        var failure: Failure?
        var redirects = 0
        var waiting: CheckedContinuation<Document, any Error>?
    }

    private static let redirectsMax = 3

    private let url: URL
    private let bytesMax: Int
    private let redirects: HTTPDownload.Redirects
    private let state = NIOLockedValueBox(State())

    private init(_ url: URL, _ bytesMax: Int, _ redirects: HTTPDownload.Redirects) {
        self.url = url
        self.bytesMax = bytesMax
        self.redirects = redirects
    }

    static func document(
        from url: URL, _ accept: String, _ bytesMax: Int, _ redirects: HTTPDownload.Redirects, _ timeout: Duration
    ) async throws -> Document {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpShouldSetCookies = false
        let download = Transfer(url, bytesMax, redirects)
        let session = URLSession(configuration: configuration, delegate: download, delegateQueue: nil)
        // The session holds its delegate until then.
        defer { session.invalidateAndCancel() }
        var request = URLRequest(url: url)
        request.setValue(accept, forHTTPHeaderField: "Accept")
        let task = session.dataTask(with: request)
        let watch = Task {
            try await Task.sleep(for: timeout)
            download.end(.tooSlow)
        }
        defer { watch.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                download.state.withLockedValue { $0.waiting = continuation }
                if Task.isCancelled { return download.end(.unreachable("cancelled")) }
                task.resume()
            }
        } onCancel: {
            download.end(.unreachable("cancelled"))
        }
    }

    /// Answers whoever waits, once. What the session still does is ended with it.
    private func end(_ failure: Failure?) {
        let (waiting, outcome) = self.state.withLockedValue { state in
            defer { state.waiting = nil }
            let failure = state.failure ?? failure
            let document = Document(
                bytes: state.bytes, contentType: state.contentType, url: state.finalURL ?? self.url)
            return (state.waiting, failure.map(Result<Document, any Error>.failure) ?? .success(document))
        }
        waiting?.resume(with: outcome)
    }

    private func fail(_ failure: Failure) { self.state.withLockedValue { $0.failure = $0.failure ?? failure } }

    // MARK: URLSessionDataDelegate, on the session's queue

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        let isOnServer =
            request.url?.scheme == self.url.scheme && request.url?.host == self.url.host
            && request.url?.port == self.url.port
        let count = self.state.withLockedValue { state in
            state.redirects += 1
            return state.redirects
        }
        let isAllowed =
            switch self.redirects {
            case .onServer: isOnServer
            case .anywhere: ["http", "https"].contains(request.url?.scheme)
            }
        // `nil`: the answer is the redirect itself, whose status is not 200.
        completionHandler(isAllowed && count <= Self.redirectsMax ? request : nil)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        if status != 200 {
            self.fail(.status(status))
        } else if response.expectedContentLength > Int64(self.bytesMax) {
            self.fail(.tooLarge)
        } else {
            let type = (response as? HTTPURLResponse)?.value(forHTTPHeaderField: "Content-Type") ?? ""
            self.state.withLockedValue { ($0.contentType, $0.finalURL) = (type, response.url) }
            return completionHandler(.allow)
        }
        completionHandler(.cancel)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let isTooLarge = self.state.withLockedValue { state in
            guard state.failure == nil else { return true }
            guard state.bytes.count + data.count <= self.bytesMax else {
                (state.failure, state.bytes) = (.tooLarge, [])
                return true
            }
            state.bytes += data
            return false
        }
        if isTooLarge { dataTask.cancel() }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        self.end(error.map { .unreachable(($0 as NSError).localizedDescription) })
    }
}
