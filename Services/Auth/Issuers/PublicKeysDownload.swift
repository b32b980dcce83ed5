import Foundation
import FoundationNetworking
import NIOConcurrencyHelpers

/// Fetches a small document from another server: at most 256 KiB, and from nowhere else than was asked.
final class PublicKeysDownload: NSObject, URLSessionDataDelegate {
    enum Failure: Error, Equatable { case status(Int), tooLarge, unreachable(String), tooSlow }

    private struct State {
        var bytes: [UInt8] = []
        var failure: Failure?
        var redirects = 0
        var waiting: CheckedContinuation<[UInt8], any Error>?
    }

    private static let bytesMax = 256 * 1024
    private static let redirectsMax = 3

    private let url: URL
    private let state = NIOLockedValueBox(State())

    private init(_ url: URL) { self.url = url }

    static func bytes(from url: URL, within timeout: Duration) async throws -> [UInt8] {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpShouldSetCookies = false
        let download = PublicKeysDownload(url)
        let session = URLSession(configuration: configuration, delegate: download, delegateQueue: nil)
        // The session holds its delegate until then.
        defer { session.invalidateAndCancel() }
        var request = URLRequest(url: url)
        request.setValue("application/json, application/jwk-set+json", forHTTPHeaderField: "Accept")
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
            return (state.waiting, failure.map(Result<[UInt8], any Error>.failure) ?? .success(state.bytes))
        }
        waiting?.resume(with: outcome)
    }

    private func fail(_ failure: Failure) { self.state.withLockedValue { $0.failure = $0.failure ?? failure } }

    // MARK: URLSessionDataDelegate, on the session's queue

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        let isSame =
            request.url?.scheme == self.url.scheme && request.url?.host == self.url.host
            && request.url?.port == self.url.port
        let count = self.state.withLockedValue { state in
            state.redirects += 1
            return state.redirects
        }
        // `nil`: the answer is the redirect itself, whose status is not 200.
        completionHandler(isSame && count <= Self.redirectsMax ? request : nil)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        if status != 200 {
            self.fail(.status(status))
        } else if response.expectedContentLength > Int64(Self.bytesMax) {
            self.fail(.tooLarge)
        } else {
            return completionHandler(.allow)
        }
        completionHandler(.cancel)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let isTooLarge = self.state.withLockedValue { state in
            guard state.failure == nil else { return true }
            guard state.bytes.count + data.count <= Self.bytesMax else {
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
