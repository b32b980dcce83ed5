import ArgumentParser
import Glibc

/// A kept-open HTTP/1.1 connection to a service on this machine. It blocks: what the client's own threads cost is not measured.
final class RESTConnection {
    private let descriptor: Int32
    private let head: String

    /// - Parameters:
    ///   - path: of every request, each a POST of JSON.
    ///   - token: the bearer.
    init(port: Int, path: String, token: String) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        self.head =
            "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAuthorization: Bearer \(token)\r\n"
            + "Content-Type: application/json\r\nContent-Length: "
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
        }
        guard code == 0 else { throw ValidationError("nobody listens on port \(port)") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { close(self.descriptor) }

    /// Sends a body and gives the answer's status.
    func post(_ body: [UInt8]) throws -> Int {
        let request = Array("\(self.head)\(body.count)\r\n\r\n".utf8) + body
        guard send(self.descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw ValidationError("the service hung up")
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = recv(self.descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { throw ValidationError("the service hung up") }
            answer += buffer[..<count]
            if let status = Self.status(of: answer) { return status }
        }
    }

    /// `nil`: the answer is not there as a whole.
    private static func status(of answer: [UInt8]) -> Int? {
        let text = String(decoding: answer, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].lowercased().split(separator: "\r\n")
        let length =
            lines.first { $0.hasPrefix("content-length:") }?.split(separator: " ").last.flatMap { Int($0) } ?? 0
        guard text[end.upperBound...].utf8.count >= length else { return nil }
        return lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }
}
