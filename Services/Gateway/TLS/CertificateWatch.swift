/// Decides when the files of a certificate are read again, and which of their problems are told.
struct CertificateWatch<Stamp: Equatable & Sendable>: Sendable {
    /// Of the files that the certificate in use was read from.
    private var used: Stamp?
    /// Of the last look.
    private var seen: Stamp?
    /// Why the files cannot be used, as it was told.
    private var problem: String?

    init(using stamp: Stamp?) {
        self.used = stamp
        self.seen = stamp
    }

    /// Whether the files are to be read now. Two files are not replaced at once, so not before a look finds them as the one
    /// before did; and what could not be used is tried again at every look.
    mutating func looked(_ stamp: Stamp?) -> Bool {
        defer { self.seen = stamp }
        return stamp == self.seen && (stamp != self.used || self.problem != nil)
    }

    mutating func loaded(_ stamp: Stamp?) {
        self.used = stamp
        self.problem = nil
    }

    /// Whether that is news.
    mutating func failed(_ problem: String) -> Bool {
        defer { self.problem = problem }
        return problem != self.problem
    }
}
