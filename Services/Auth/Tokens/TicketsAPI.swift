import Access
import Events
import Hummingbird
import ServiceKit

/// `POST /v1/tickets`: a one-time code for a WebSocket URL, worth what the sender's credential is.
struct TicketsAPI {
    let tickets: Tickets

    private struct Answer: Encodable {
        let ticket: String
        let expires_in: Int
        let expires_at: String
    }

    func add(to router: Router<APIContext>) {
        router.post("/v1/tickets") { _, context in
            let principal = try context.requirePrincipal()
            let made = try await self.tickets.make(for: principal, audit: AuditEntry("ticket.issue", by: context))
            return Response.secret(
                Answer(
                    ticket: made.ticket, expires_in: Tickets.lifetime,
                    expires_at: made.expires.iso8601))
        }
    }
}
