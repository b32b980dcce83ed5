import Events
import FoundationEssentials

/// When a token counts (RFC 7519 §4.1.4–4.1.6).
struct TokenTimes {
    let expires: Date
    let notBefore: Date?
    let issued: Date?

    /// Seconds that a time may be away from 1970: what is beyond is no time, and would not fit where times are kept.
    private static let secondsMax = 1e11

    /// `exp` is needed; what is there must be a number.
    init(_ claims: JSON) throws(LocalRefusal) {
        guard let expires = try Self.time(claims["exp"]) else { throw .claims }
        self.expires = expires
        self.notBefore = try Self.time(claims["nbf"])
        self.issued = try Self.time(claims["iat"])
    }

    private static func time(_ claim: JSON?) throws(LocalRefusal) -> Date? {
        guard let claim else { return nil }
        guard let seconds = claim.double else { throw .claims }
        return Date(timeIntervalSince1970: seconds)
    }

    func check(at now: Date) throws(LocalRefusal) {
        for time in [self.expires, self.notBefore, self.issued].compactMap(\.self) {
            guard abs(time.timeIntervalSince1970) < Self.secondsMax else { throw .claims }
        }
        let leeway = AccessTokenClaims.leeway
        guard self.expires.addingTimeInterval(leeway) > now else { throw .expired }
        for start in [self.notBefore, self.issued].compactMap(\.self) {
            guard start <= now.addingTimeInterval(leeway) else { throw .notYetValid }
        }
    }
}
