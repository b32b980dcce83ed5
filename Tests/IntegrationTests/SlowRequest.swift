import Foundation
import Glibc

/// A POST whose body comes later than its head, as from somebody who waits for something to happen in between.
struct SlowRequest: Sendable {
    private let descriptor: Int32

    static func begin(port: Int, path: String, token: String, length: Int) async throws -> SlowRequest {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Suite.Failure(description: "no connection to \(port)") }
        var time = timeval(tv_sec: 15, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        let request = SlowRequest(descriptor: descriptor)
        request.write(
            """
            POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(token)\r\nContent-Type: application/json\r
            Content-Length: \(length)\r\nConnection: close\r\n\r\n
            """)
        return request
    }

    /// Sends the body; the answer.
    func finish(_ body: String) async throws -> String {
        self.write(body)
        defer { close(self.descriptor) }
        return self.read()
    }

    private func write(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { send(self.descriptor, $0.baseAddress, $0.count, 0) }
    }

    private func read() -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(self.descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
