/// A command on the wire: correlation · deadline (Unix ms) · name · body.
package struct CommandRequest: Sendable {
    package var correlation: UInt64
    package var deadline: Timestamp
    package var name: String
    package var body: [UInt8]

    package var frames: [[UInt8]] {
        var header: [UInt8] = []
        header.appendInteger(self.correlation)
        header.appendInteger(UInt64(bitPattern: self.deadline.milliseconds))
        return [header, Array(self.name.utf8), self.body]
    }

    package init(correlation: UInt64, deadline: Timestamp, name: String, body: [UInt8]) {
        self.correlation = correlation
        self.deadline = deadline
        self.name = name
        self.body = body
    }

    package init?(frames: ArraySlice<[UInt8]>) {
        let frames = Array(frames)
        guard frames.count == 3, frames[0].count == 16 else { return nil }
        self.correlation = frames[0].integer(at: 0)
        self.deadline = Timestamp(milliseconds: Int64(bitPattern: frames[0].integer(at: 8)))
        self.name = String(decoding: frames[1], as: UTF8.self)
        self.body = frames[2]
    }
}

/// The answer on the wire: correlation · failure as JSON, empty on success · body.
package struct CommandReply {
    package var correlation: UInt64
    package var result: Result<[UInt8], CommandFailure>

    package var frames: [[UInt8]] {
        var header: [UInt8] = []
        header.appendInteger(self.correlation)
        switch self.result {
        case .success(let body): return [header, [], body]
        case .failure(let failure): return [header, JSON.encode(failure), []]
        }
    }

    package init(correlation: UInt64, result: Result<[UInt8], CommandFailure>) {
        self.correlation = correlation
        self.result = result
    }

    package init?(frames: [[UInt8]]) {
        guard frames.count == 3, frames[0].count == 8 else { return nil }
        self.correlation = frames[0].integer(at: 0)
        if frames[1].isEmpty {
            self.result = .success(frames[2])
        } else {
            // `try?`: a failure that we cannot read is still a failure.
            let failure = try? JSON.decode(CommandFailure.self, from: frames[1])
            self.result = .failure(failure ?? CommandFailure(.internalError, "unreadable failure"))
        }
    }
}
