import Glibc
import Threads

/// Asks the system for a host's addresses, on a thread of its own: libwebsockets would make all connections of its loop wait.
enum HostLookup {
    /// In the order in which they are to be tried.
    static func addresses(of host: String) async throws(WebSocketsError) -> [String] {
        let answer = Pending<Result<[String], WebSocketsError>>()
        _ = WorkerThread(name: "host-lookup") { answer.give(Self.look(host)) }
        let result = await withTaskCancellationHandler {
            await answer.value()
        } onCancel: {
            answer.give(.failure(.notConnected("cancelled")))
        }
        return try result.get()
    }

    private static func look(_ host: String) -> Result<[String], WebSocketsError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else { return .failure(.notConnected(String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            if status == 0 {
                addresses.append(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
            }
            next = entry.pointee.ai_next
        }
        return .success(addresses)
    }
}
