import Access
import Database
import Events

/// Says whom a credential belongs to, from auth's own tables and keys.
struct Credentials: Sendable {
    let database: Database
    let keys: VerificationKeys
    let usage: KeyUsage
    let trail: AuditTrail
    let limits: AttemptLimits

    /// For auth's own API.
    @Sendable
    func verify(_ token: String, _ remoteAddress: String?) async throws(AccessError) -> Principal {
        if token.utf8.count(where: { $0 == UInt8(ascii: ".") }) == 2 {
            return try await self.accessToken(token, remoteAddress)
        }
        let answer: Introspection
        do throws(CommandFailure) {
            answer = try await self.introspect(token, address: remoteAddress)
        } catch {
            throw .unavailable
        }
        if let seconds = answer.retryAfter { throw .limited(retryAfter: seconds) }
        guard let principal = answer.principal else { throw .invalid("unknown, expired or revoked") }
        return principal
    }

    /// Whose an access token is by its signature and its times, revoked or not.
    func signer(of text: String) async throws(AccessError) -> Principal {
        do {
            let token = try SignedToken(text)
            do {
                return try await self.keys.sets().principal(of: token)
            } catch LocalRefusal.key {
                return try await self.keys.sets(missing: token.issuer).principal(of: token)
            }
        } catch let error as LocalRefusal {
            throw .invalid(error.rawValue)
        } catch {
            throw .unavailable
        }
    }

    private func accessToken(_ text: String, _ address: String?) async throws(AccessError) -> Principal {
        let principal: Principal
        do {
            principal = try await self.signer(of: text)
        } catch {
            if case .invalid(let reason) = error { self.refuse(address, reason) }
            throw error
        }
        let isGood: Bool
        do throws(DatabaseError) {
            isGood = try await self.isGood(principal)
        } catch {
            throw .unavailable
        }
        guard isGood else {
            self.refuse(address, LocalRefusal.revoked.rawValue)
            throw .invalid(LocalRefusal.revoked.rawValue)
        }
        return principal
    }

    /// Answers `Introspect`. Whoever shows many that are not known gets to wait: then only those that were good before are looked at.
    /// Throws `CommandFailure.unavailable` when the database cannot be asked.
    func introspect(_ token: String, address: String?) async throws(CommandFailure) -> Introspection {
        let hash = Secret.hash(token)
        if let address, !self.usage.isFamiliar(hash), let seconds = self.limits.retryAfter(address) {
            self.refuse(address, "throttled")
            return Introspection(principal: nil, retryAfter: seconds)
        }
        do {
            let isOpaque = token.hasPrefix(Secret.Prefix.accessToken.rawValue)
            let principal =
                isOpaque
                ? try await AccessTokens.principal(hash: hash, self.database)
                : try await self.apiKey(hash: hash, address: address)
            if let principal, try await self.isGood(principal) {
                // Opaque tokens are made in any number, and would push the others out.
                if !isOpaque { self.usage.greet(hash) }
                return Introspection(principal: principal)
            }
        } catch {
            throw CommandFailure(.unavailable, "\(error)")
        }
        // Without an address it is a process of the suite that asks for itself.
        if let address { self.limits.badCredential(from: address) }
        self.refuse(address, "unknown, expired, revoked or used from elsewhere")
        return Introspection(principal: nil)
    }

    func refuse(_ address: String?, _ reason: String) {
        self.trail.note(AuditEntry("credential.refuse", .refused, address: address, reason: reason))
    }

    private func apiKey(hash: String, address: String?) async throws(DatabaseError) -> Principal? {
        guard let key = try await APIKeyRecord.find(hash: hash, self.database), key.mayBeUsed(from: address) else {
            return nil
        }
        self.usage.note(key.id)
        return key.principal
    }

    /// Whether the principal's credential still counts.
    func isGood(_ principal: Principal) async throws(DatabaseError) -> Bool {
        try await self.database.query(principal.standing).first?.decode("is_good") ?? false
    }
}
