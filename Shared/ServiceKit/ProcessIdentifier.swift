import Glibc

public enum ProcessIdentifier {
    /// This process's pid.
    public static var own: Int32 { getpid() }
}
