import Glibc
import Threads

/// A listening or accepted TCP socket of the acceptor, or the plain side of one with TLS; non-blocking.
struct TCPSocket: Sendable {
    let descriptor: Int32

    struct Failure: Error, CustomStringConvertible {
        let what: String
        let code: Int32
        var description: String { "\(self.what): \(String(cString: strerror(self.code)))" }
    }

    /// Listens on a numeric address. Throws `Failure`.
    static func listen(host: String, port: Int) throws -> TCPSocket {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let name = host == "*" ? nil : host
        guard getaddrinfo(name, "\(port)", &hints, &found) == 0, let address = found?.pointee else {
            throw Failure(what: "cannot resolve \(host)", code: EADDRNOTAVAIL)
        }
        defer { freeaddrinfo(found) }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = Glibc.socket(address.ai_family, kind, 0)
        guard descriptor >= 0 else { throw Failure(what: "socket", code: errno) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        if address.ai_family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, 4) }
        // Who connects is heard of with its request, not before: one wait less. Who has nothing to say is heard of a second later.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, &one, 4)
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0, Glibc.listen(descriptor, 4096) == 0 else {
            let failure = Failure(what: "cannot listen on \(host) port \(port)", code: errno)
            Glibc.close(descriptor)
            throw failure
        }
        return TCPSocket(descriptor: descriptor)
    }

    enum Accepted {
        case socket(TCPSocket, peer: String)
        case none
        /// The process has no descriptors left, or the kernel no memory.
        case exhausted
    }

    /// The next waiting connection.
    func accept() -> Accepted {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                Glibc.accept(self.descriptor, address, &length)
            }
        }
        guard descriptor >= 0 else {
            return [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) ? .exhausted : .none
        }
        // It is inherited by no one, and new: there are no other flags to keep.
        _ = fcntl(descriptor, F_SETFL, O_RDWR | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        return .socket(TCPSocket(descriptor: descriptor), peer: Self.numericAddress(&storage, length))
    }

    private static func numericAddress(_ storage: inout sockaddr_storage, _ length: socklen_t) -> String {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST)
            }
        }
        return String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    enum Read {
        case bytes([UInt8])
        case wait
        case ended
    }

    /// - Parameter leavesThem: the next read gets the same bytes again.
    func read(upTo count: Int, leavesThem: Bool = false) -> Read {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = recv(self.descriptor, &bytes, count, leavesThem ? Int32(MSG_PEEK) : 0)
        if got > 0 { return .bytes(Array(bytes[..<got])) }
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? .wait : .ended
    }

    /// Sends a short answer whole, or gives up at the deadline.
    func write(_ bytes: [UInt8], by deadline: ContinuousClock.Instant) async {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent > 0 {
                rest = rest.dropFirst(sent)
            } else if sent < 0, errno == EAGAIN {
                guard
                    await SocketPoller.shared.wait(for: self.descriptor, .writable, timeout: deadline - .now) == .ready
                else { return }
            } else if sent < 0, errno != EINTR {
                return
            }
        }
    }

    /// Ends our side and waits for the peer's, so that the answer is not lost to a reset.
    func closeGracefully(by deadline: ContinuousClock.Instant) async {
        shutdown(self.descriptor, Int32(SHUT_WR))
        loop: while ContinuousClock.now < deadline,
            await SocketPoller.shared.wait(for: self.descriptor, .readable, timeout: deadline - .now) == .ready
        {
            switch self.read(upTo: 4096) {
            case .bytes, .wait: continue
            case .ended: break loop
            }
        }
        self.close()
    }

    func close() { _ = Glibc.close(self.descriptor) }
}
