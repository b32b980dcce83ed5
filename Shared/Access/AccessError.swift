/// Why a credential was not accepted.
public enum AccessError: Error, Sendable, Hashable {
    /// Unknown, malformed, expired, revoked, or of another kind than it was said to be.
    case invalid(String)
    /// Auth could not be asked; try again.
    case unavailable
    /// That address showed too many bad credentials, and this one was not looked at; try again after so many seconds.
    case limited(retryAfter: Int)
}

/// Why a credential is refused without asking auth; the raw value is what the audit log and the metrics say.
public enum LocalRefusal: String, Error, Sendable, Hashable, CaseIterable {
    /// Empty, too long, or no token by its form.
    case malformed
    /// Signed with another algorithm than its issuer uses, or with none.
    case algorithm
    /// A token for another purpose, or with a critical header that nobody here understands.
    case type
    case issuer
    /// Signed with a key that its issuer does not name.
    case key
    case signature
    case audience
    case expired
    case notYetValid = "not_yet_valid"
    /// A claim that is needed is missing, or is not what it should be.
    case claims
    /// Its issuer may not speak for that tenant.
    case tenant
    /// It says nothing that gives it a permission here.
    case scope
    case revoked
    /// Another kind than the client said.
    case kind
    /// A ticket where only credentials are accepted.
    case ticket
    /// Auth said no a moment ago.
    case unknown
}
