internal import Glibc

/// A display of an X server on this machine: as much of it as closing the windows there takes. OBS 29 has no other safe end: at
/// a SIGINT it does the whole of it inside the signal's handler, where one in ten locks up or crashes.
struct XDisplay {
    enum Failure: Error { case unreachable, refused, ended }

    let number: String

    /// Asks each window on the display to close, as a click on its cross does. Blocks while the server answers.
    func closeWindows() throws {
        let connection = try Connection(number: self.number)
        defer { connection.end() }
        let protocols = try connection.atom("WM_PROTOCOLS")
        let delete = try connection.atom("WM_DELETE_WINDOW")
        for window in try connection.windows() {
            guard try connection.property(protocols, of: window).contains(delete) else { continue }
            guard try connection.isViewable(window) else { continue }
            try connection.send(message: protocols, delete, to: window)
        }
        // Answered only after all before it.
        _ = try connection.ask(43, 0, [])
    }

    /// The core protocol, in little endian. Requests are known by their numbers.
    private struct Connection {
        private let descriptor: Int32
        private let root: UInt32

        init(number: String) throws {
            self.descriptor = try Self.connect("/tmp/.X11-unix/X\(number)")
            do {
                self.root = try Self.greet(self.descriptor)
            } catch {
                close(self.descriptor)
                throw error
            }
        }

        func end() { close(self.descriptor) }

        func atom(_ name: String) throws -> UInt32 {
            let padding = [UInt8](repeating: 0, count: (4 - name.utf8.count % 4) % 4)
            let length = Self.bytes(UInt16(name.utf8.count)) + [0, 0]
            return Self.word(try self.ask(16, 0, length + Array(name.utf8) + padding) ?? [], 8)
        }

        /// The root's children.
        func windows() throws -> [UInt32] {
            let answer = try self.ask(15, 0, Self.bytes(self.root)) ?? []
            return stride(from: 32, to: answer.count, by: 4).map { Self.word(answer, $0) }
        }

        func property(_ name: UInt32, of window: UInt32) throws -> [UInt32] {
            let answer = try self.ask(20, 0, Self.words([window, name, 0, 0, 32])) ?? []
            return stride(from: 32, to: answer.count, by: 4).map { Self.word(answer, $0) }
        }

        func isViewable(_ window: UInt32) throws -> Bool {
            // One that is gone meanwhile is none to close.
            guard let answer = try self.ask(3, 0, Self.bytes(window)) else { return false }
            return answer[26] == 2
        }

        func send(message type: UInt32, _ content: UInt32, to window: UInt32) throws {
            let event: [UInt8] = [33, 32, 0, 0] + Self.words([window, type, content, 0, 0, 0, 0])
            try self.write(25, 0, Self.bytes(window) + [0, 0, 0, 0] + event)
        }

        /// `nil` where the server answers with an error.
        func ask(_ request: UInt8, _ detail: UInt8, _ body: [UInt8]) throws -> [UInt8]? {
            try self.write(request, detail, body)
            while true {
                let head = try Self.read(32, self.descriptor)
                switch head[0] {
                case 0: return nil
                case 1: return head + (try Self.read(4 * Int(Self.word(head, 4)), self.descriptor))
                // An event.
                default: continue
                }
            }
        }

        private func write(_ request: UInt8, _ detail: UInt8, _ body: [UInt8]) throws {
            let head = [request, detail] + Self.bytes(UInt16(1 + body.count / 4))
            try Self.write(head + body, self.descriptor)
        }

        private static func connect(_ path: String) throws -> Int32 {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let isConnected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
            if isConnected { return descriptor }
            close(descriptor)
            throw Failure.unreachable
        }

        /// Gives the root window of the first screen.
        private static func greet(_ descriptor: Int32) throws -> UInt32 {
            try Self.write([UInt8(ascii: "l"), 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0], descriptor)
            let head = try Self.read(8, descriptor)
            guard head[0] == 1 else { throw Failure.refused }
            let setup = try Self.read(4 * Int(head[6]) + 4 * 256 * Int(head[7]), descriptor)
            let vendor = Int(setup[16]) + 256 * Int(setup[17])
            // Behind the vendor's name stand the formats, then the screens.
            return Self.word(setup, 32 + (vendor + 3) / 4 * 4 + 8 * Int(setup[21]))
        }

        private static func write(_ bytes: [UInt8], _ descriptor: Int32) throws {
            // Not `write`: a server that is gone must not end us with SIGPIPE.
            guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
                throw Failure.ended
            }
        }

        private static func read(_ count: Int, _ descriptor: Int32) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            guard count == 0 || recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count else {
                throw Failure.ended
            }
            return bytes
        }

        private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
            withUnsafeBytes(of: value.littleEndian) { Array($0) }
        }

        private static func words(_ values: [UInt32]) -> [UInt8] { values.flatMap { Self.bytes($0) } }

        private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
            guard offset + 4 <= bytes.count else { return 0 }
            return (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
        }
    }
}
