import Glibc

/// How many descriptors (open files and sockets) the process may have: getrlimit(2), `RLIMIT_NOFILE`.
public enum OpenFileLimit {
    /// What a process asks for where more is allowed: a connection of the gateway takes one to three.
    private static let wanted: rlim_t = 65_536
    /// libwebsockets has a table of so many pointers for each loop, and some systems allow a thousand million.
    private static let most: rlim_t = 1_048_576

    /// The limit now; `nil` if the system does not say.
    public static var current: Int? { Self.limits.map { Int(clamping: $0.rlim_cur) } }

    /// Raises the limit as far as the system lets us and we want. Many systems start processes with 1024.
    static func adjust() {
        guard var limits = Self.limits else { return }
        limits.rlim_cur = Self.adjusted(current: limits.rlim_cur, allowed: limits.rlim_max)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
    }

    static func adjusted(current: rlim_t, allowed: rlim_t) -> rlim_t {
        min(max(current, Self.wanted), Self.most, allowed)
    }

    private static var limits: rlimit? {
        var limits = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 ? limits : nil
    }
}
