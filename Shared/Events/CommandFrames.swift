/// A command on the wire: correlation u64 · time left u64 (ms) · name · body.
///
/// It carries how long the asker will still wait, not until when: the two clocks need not agree.
package struct CommandRequest: Sendable {
    package var correlation: UInt64
    /// From 0 to `timeLeftMax`.
    package var timeLeft: Duration
    package var name: String
    package var body: [UInt8]

    /// What a longer wait is read as.
    package static let timeLeftMax = Duration.seconds(3600)

    package var frames: [[UInt8]] {
        var header: [UInt8] = []
        header.appendInteger(self.correlation)
        header.appendInteger(UInt64(clamping: Int64(self.timeLeft / .milliseconds(1))))
        return [header, Array(self.name.utf8), self.body]
    }

    package init(correlation: UInt64, timeLeft: Duration, name: String, body: [UInt8]) {
        self.correlation = correlation
        self.timeLeft = min(max(.zero, timeLeft), Self.timeLeftMax)
        self.name = name
        self.body = body
    }

    package init?(frames: ArraySlice<[UInt8]>) {
        let frames = Array(frames)
        guard frames.count == 3, frames[0].count == 16 else { return nil }
        self.init(
            correlation: frames[0].integer(at: 0),
            timeLeft: .milliseconds(Int64(clamping: frames[0].integer(at: 8))),
            name: String(decoding: frames[1], as: UTF8.self), body: frames[2])
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
