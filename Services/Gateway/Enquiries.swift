import Access
import Bus
import Dialects
import Events
import NIOConcurrencyHelpers
import ServiceLifecycle
import Threads
import WebSockets

/// What loops want to know from elsewhere, asked as tasks; the answers go back into the loop's mailbox.
final class Enquiries: Service {
    enum Enquiry: Sendable {
        case verify(Credential, remoteAddress: String, ConnectionID, Answer)
        case call(CommandCall, ConnectionID, Answer)
        case seat(Seat, ConnectionID, Answer)
        case handOver(ReconnectTokens.Content, ConnectionID, Answer)
        case resume(String, ConnectionID, Answer)
        case replay(ReplayPages.Question, ReplayRequest, Answer)
    }

    /// Posts into the mailbox of the loop that asked.
    typealias Answer = @Sendable (EdgeMessage) -> Void

    private let commands: CommandClient
    private let verifier: CredentialVerifier
    private let seats: SeatLeases
    private let tokens: ReconnectTokens
    private let open = NIOLockedValueBox(0)
    private let metrics = QueueMetrics(queue: "enquiries")
    private let stream: AsyncStream<Enquiry>
    private let continuation: AsyncStream<Enquiry>.Continuation

    /// Enquiries that are not answered yet; one more is answered as unavailable.
    private static let openMax = 20_000

    init(commands: CommandClient, verifier: CredentialVerifier, seats: SeatLeases, tokens: ReconnectTokens) {
        self.commands = commands
        self.verifier = verifier
        self.seats = seats
        self.tokens = tokens
        (self.stream, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.openMax))
    }

    func ask(_ enquiry: Enquiry) {
        let hasRoom = self.open.withLockedValue { open in
            guard open < Self.openMax else { return false }
            open += 1
            return true
        }
        if hasRoom {
            self.metrics.add()
            // Refused when the gateway ends, and then nobody waits for the answer.
            self.continuation.yield(enquiry)
        } else {
            self.metrics.refuse()
            Self.refuse(enquiry)
        }
    }

    private static func refuse(_ enquiry: Enquiry) {
        switch enquiry {
        case .verify(_, _, let id, let answer): answer(.verified(id, .failure(.unavailable)))
        case .call(_, let id, let answer):
            answer(.called(id, .failure(CommandFailure(.unavailable, "The gateway is overloaded"))))
        case .seat(let seat, let id, let answer): answer(.seated(id, seat, false))
        case .handOver(_, let id, let answer): answer(.handedOver(id, nil))
        case .resume(_, let id, let answer): answer(.resumed(id, nil))
        case .replay(let question, _, let answer): answer(.replayed(question, nil))
        }
    }

    func run() async throws {
        await withDiscardingTaskGroup { group in
            for await enquiry in self.stream.cancelOnGracefulShutdown() {
                group.addTask {
                    await self.carryOut(enquiry)
                    self.open.withLockedValue { $0 -= 1 }
                    self.metrics.remove()
                }
            }
        }
    }

    private func carryOut(_ enquiry: Enquiry) async {
        switch enquiry {
        case .verify(let credential, let address, let id, let answer):
            answer(.verified(id, await self.verifier.result(for: credential, remoteAddress: address)))
        case .call(let call, let id, let answer):
            do {
                answer(.called(id, .success(try await self.commands.call(call.service, call.name, body: call.body))))
            } catch {
                answer(.called(id, .failure(error)))
            }
        case .seat(let seat, let id, let answer): answer(.seated(id, seat, await self.seats.take(seat)))
        case .handOver(let content, let id, let answer): answer(.handedOver(id, await self.tokens.issue(content)))
        case .resume(let token, let id, let answer): answer(.resumed(id, await self.tokens.redeem(token)))
        case .replay(let question, let request, let answer):
            answer(.replayed(question, await self.page(request, of: question.key.publisher)))
        }
    }

    private func page(_ request: ReplayRequest, of publisher: ServiceName) async -> ReplayPage? {
        // `try?`: whatever the reason, the asker tries again.
        let bytes = try? await self.commands.call(publisher, ReplayRequest.name, body: JSON.encode(request))
        return bytes.flatMap(ReplayPage.init)
    }
}

extension CredentialVerifier {
    /// The dialects' words for the outcome.
    func result(for credential: Credential, remoteAddress: String) async -> Result<Principal, VerificationFailure> {
        do {
            let principal = try await self.verify(
                credential.token, kind: credential.kind, remoteAddress: remoteAddress)
            // A connection ends with its token, to the second: the leeway of requests is not for what lasts.
            guard principal.expires.map({ $0 > .now }) ?? true else { return .failure(.invalid(reason: "expired")) }
            return .success(principal)
        } catch {
            switch error {
            case .unavailable: return .failure(.unavailable)
            case .limited(let seconds): return .failure(.limited(retryAfter: seconds))
            case .invalid(let reason): return .failure(.invalid(reason: reason))
            }
        }
    }
}
