import Events
import NIOConcurrencyHelpers

/// Access tokens that were verified, so that a client that comes back costs no arithmetic. What is revoked is not looked at here.
final class TokenMemory: Sendable {
    private struct State {
        var principals = BoundedMemory<CredentialDigest, Principal>(capacity: 20_000)
        /// Of the keys that they were verified with.
        var version = 0
    }

    private let state = NIOLockedValueBox(State())

    private static let leeway = Duration.seconds(Int(AccessTokenClaims.leeway))

    /// - Parameter version: of the keys there are now; with other keys a token is verified anew.
    func principal(_ digest: CredentialDigest, version: Int) -> Principal? {
        self.state.withLockedValue { state in
            guard state.version == version, let principal = state.principals.value(digest) else { return nil }
            guard let expires = principal.expires, expires + Self.leeway > .now else {
                state.principals.forget(digest)
                return nil
            }
            return principal
        }
    }

    func keep(_ principal: Principal, _ digest: CredentialDigest, version: Int) {
        self.state.withLockedValue { state in
            // Verified with keys that have changed since.
            guard version >= state.version else { return }
            if version > state.version {
                state.principals.forgetAll()
                state.version = version
            }
            state.principals.keep(principal, digest)
        }
    }
}
