import Glibc

public enum ProcessIdentifier {
    /// This process's pid.
    public static var own: Int32 { getpid() }

    /// What this machine or container calls itself.
    public static var machine: String {
        var name = [CChar](repeating: 0, count: Int(HOST_NAME_MAX) + 1)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
