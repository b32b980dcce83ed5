internal import CLibpq
internal import Glibc
internal import Threads

/// A `PGconn`, confined to the `Connection` that owns it. Nothing here waits: it says what libpq says.
final class Handle {
    enum Progress { case reading, writing, connected, failed }

    private let pointer: OpaquePointer

    /// A pointer on its way from the thread that made it to its owner.
    // Safe: it is handed over once, and the maker keeps no copy.
    private struct Transfer: @unchecked Sendable { let pointer: OpaquePointer }

    private init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit {
        // PQfinish says goodbye with a blocking write; on a socket that is shut down it cannot block.
        if self.transactionStatus != PQTRANS_IDLE { self.abort() }
        PQfinish(self.pointer)
    }

    /// Cuts the socket, which wakes whoever waits for it.
    func abort() { shutdown(self.socket, Int32(SHUT_RDWR)) }

    /// Begins to connect. On a thread of its own, because libpq resolves the host's name in there.
    /// - Parameter host: one of `DatabaseHost.all(in: url)`; `nil`: all that the URL names.
    static func start(url: String, host: DatabaseHost?, applicationName: String) async -> Handle? {
        let transfer = await withCheckedContinuation { (continuation: CheckedContinuation<Transfer?, Never>) in
            _ = WorkerThread(name: "postgres-dial") {
                // What precedes `dbname` is a default that the URL may override; what follows it overrides the URL.
                var parameters = DatabaseHost.defaults
                parameters.append(("dbname", url))
                for (keyword, value) in host?.parameters ?? [:] { parameters.append((keyword, value)) }
                parameters += [("fallback_application_name", applicationName), ("client_encoding", "UTF8")]
                let (keywords, values) = (parameters.map(\.0), parameters.map(\.1))
                let pointer = withCStrings(keywords) { keywords in
                    withCStrings(values) { values in PQconnectStartParams(keywords, values, 1) }
                }
                continuation.resume(returning: pointer.map(Transfer.init))
            }
        }
        guard let pointer = transfer?.pointer else { return nil }
        // libpq would print the server's notices to standard error.
        PQsetNoticeReceiver(pointer, { _, _ in }, nil)
        return Handle(pointer)
    }

    func poll() -> Progress {
        switch PQconnectPoll(self.pointer) {
        case PGRES_POLLING_OK: PQsetnonblocking(self.pointer, 1) == 0 ? .connected : .failed
        case PGRES_POLLING_READING: .reading
        case PGRES_POLLING_WRITING: .writing
        default: .failed
        }
    }

    var socket: Int32 { PQsocket(self.pointer) }
    var isBroken: Bool { PQstatus(self.pointer) == CONNECTION_BAD }
    var transactionStatus: PGTransactionStatusType { PQtransactionStatus(self.pointer) }
    var serverProcess: Int32 { PQbackendPID(self.pointer) }

    /// libpq's last words on this connection, in one line. They never hold the password.
    var message: String {
        guard let text = PQerrorMessage(self.pointer) else { return "" }
        return String(cString: text).split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    func send(_ sql: String) -> Bool { PQsendQuery(self.pointer, sql) == 1 }

    /// Begins to send statements together; their results come one after the other, up to one that is the end.
    func enterPipeline() -> Bool { PQenterPipelineMode(self.pointer) == 1 }

    /// Ends what is sent together.
    func sendEnd() -> Bool { PQpipelineSync(self.pointer) == 1 }

    var isInPipeline: Bool { PQpipelineStatus(self.pointer) != PQ_PIPELINE_OFF }

    /// Only when all results were read.
    func exitPipeline() -> Bool { PQexitPipelineMode(self.pointer) == 1 }

    /// As one of several that are sent together.
    func sendCommand(_ sql: String) -> Bool { PQsendQueryParams(self.pointer, sql, 0, nil, nil, nil, nil, 0) == 1 }

    func sendPrepare(_ name: String, _ sql: String, types: [UInt32]) -> Bool {
        PQsendPrepare(self.pointer, name, sql, Int32(types.count), types) == 1
    }

    /// Text in, text out. libpq copies the values before it returns.
    func sendPrepared(_ name: String, _ values: [[UInt8]?]) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.reduce(0) { $0 + ($1?.count ?? 0) + 1 })
        let starts = values.map { value -> Int? in
            guard let value else { return nil }
            defer { bytes += value + [0] }
            return bytes.count
        }
        return bytes.withUnsafeBytes { buffer in
            let base = buffer.bindMemory(to: CChar.self).baseAddress
            let pointers = starts.map { start in start.flatMap { base?.advanced(by: $0) } }
            return PQsendQueryPrepared(self.pointer, name, Int32(values.count), pointers, nil, nil, 0) == 1
        }
    }

    /// `nil`: the connection is broken. `false`: some of what we send still waits for the socket.
    func flush() -> Bool? {
        switch PQflush(self.pointer) {
        case 0: true
        case 1: false
        default: nil
        }
    }

    /// Reads what has arrived. `false`: the connection is broken.
    func consume() -> Bool { PQconsumeInput(self.pointer) == 1 }

    /// Whether the next result would have to be waited for.
    var isBusy: Bool { PQisBusy(self.pointer) == 1 }

    /// The next result of what was sent; `nil` after the last one.
    func nextResult() -> QueryResult? {
        guard let result = PQgetResult(self.pointer) else { return nil }
        defer { PQclear(result) }
        return QueryResult(result)
    }
}

/// The strings as C sees a list of them: an array that ends with NULL, valid during the call.
private func withCStrings<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies.map { UnsafePointer($0) } + [nil])
}
