import Database
import Events
import FoundationEssentials

/// One-time codes for WebSocket URLs, so that no credential that lasts need appear in one. Kept in the database: a ticket is
/// redeemed once, whichever replica asks, and whatever restarts.
struct Tickets: Sendable {
    let writer: EventWriter
    let credentials: Credentials

    /// Seconds that a ticket is valid.
    static let lifetime = 30

    struct Made {
        let ticket: String
        let expires: Timestamp
    }

    /// Makes a ticket that is worth what the principal is, but is not the sign-in itself.
    func make(for principal: Principal, audit entry: AuditEntry) async throws -> Made {
        let ticket = Secret(.ticket)
        // No longer than the credential itself.
        let expires = min(.now + .seconds(Self.lifetime), principal.expires ?? .now + .seconds(Self.lifetime))
        let text = String(decoding: JSON.encode(principal.ofTicket), as: UTF8.self)
        try await self.writer.write(for: principal) { mutation in
            _ = try await mutation.query(
                "INSERT INTO tickets (hash, principal, expires_at) VALUES (\(ticket.hash), \(text), \(expires))")
            try await mutation.audit(entry)
        }
        return Made(ticket: ticket.text, expires: expires)
    }

    /// Answers `RedeemTicket`: the first to ask gets the principal, unless its credential was revoked meanwhile.
    func redeem(_ ticket: String, address: String?) async throws -> Introspection {
        if let address, let seconds = self.credentials.limits.retryAfter(address) {
            self.credentials.refuse(address, "throttled")
            return Introspection(principal: nil, retryAfter: seconds)
        }
        do {
            // Looked at first: anybody can ask, and the one writer is not to be kept busy by whoever guesses.
            let hash = Secret.hash(ticket)
            let known = try await self.credentials.database.query(
                "SELECT 1 FROM tickets WHERE hash = \(hash) AND redeemed_at IS NULL AND expires_at > now()")
            if !known.isEmpty, let principal = try await self.spend(hash, address) {
                return Introspection(principal: principal)
            }
        } catch let error as DatabaseError {
            throw CommandFailure(.unavailable, "\(error)")
        }
        if let address { self.credentials.limits.badCredential(from: address) }
        self.credentials.refuse(address, "a ticket that is unknown, used or over")
        return Introspection(principal: nil)
    }

    private func spend(_ hash: String, _ address: String?) async throws -> Principal? {
        try await self.writer.write { mutation -> Principal? in
            let rows = try await mutation.query(
                """
                UPDATE tickets SET redeemed_at = now()
                WHERE hash = \(hash) AND redeemed_at IS NULL AND expires_at > now() RETURNING principal
                """)
            guard let text = try rows.first?.decode("principal", as: String.self),
                let principal = try? JSON.decode(Principal.self, from: Array(text.utf8)),
                try await mutation.query(principal.standing).first?.decode("is_good") == true
            else {
                // `try?`: what does not decode was not written by us, and is worth nothing.
                return nil
            }
            try await mutation.audit(
                AuditEntry(
                    "ticket.redeem", tenant: principal.tenant, actor: principal.subject,
                    credential: principal.credentialID, address: address))
            return principal
        }
    }

    /// Removes what ended an hour ago, when no clock can take it for valid.
    static func forgetExpired(_ mutation: Mutation) async throws {
        _ = try await mutation.query("DELETE FROM tickets WHERE expires_at < now() - interval '1 hour'")
    }
}
