import Glibc
import NIOConcurrencyHelpers

private let nextPort = NIOLockedValueBox(UInt16(20_000 + getpid() % 100 * 100))

/// A TCP address of ZeroMQ's form that is free, below the ports that the kernel gives to connections and above those of the
/// integration tests.
public func freeEndpoint() -> String {
    while true {
        let port = nextPort.withLockedValue { port in
            port = port < 31_999 ? port + 1 : 20_000
            return port
        }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isFree = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isFree { return "tcp://127.0.0.1:\(port)" }
    }
}
