import Events
import ForeignMessages
import Foundation

/// The end of the log of sessions that nginx writes in the format that docs/streams.md gives: `msec connection command app name`, a line
/// when each ends. A name stands in it as somebody has written it, so nothing that it says is believed beyond what can be.
struct MediaLog: Sendable {
    private var ends: [MediaSession.Key: [Timestamp]] = [:]

    private static let bytesMax = 1_048_576

    /// Empty where there is no such log.
    init(path: String) { self.init(text: Self.tail(of: path) ?? "", now: .now) }

    // `try?`: a log that cannot be read knows no end.
    private static func tail(of path: String) -> String? {
        guard let handle = FileHandle(forReadingAtPath: path), let size = try? handle.seekToEnd() else { return nil }
        defer { try? handle.close() }
        let start = size > UInt64(Self.bytesMax) ? size - UInt64(Self.bytesMax) : 0
        guard (try? handle.seek(toOffset: start)) != nil, let bytes = try? handle.readToEnd() else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    init(text: String, now: Timestamp) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 5, let role = Self.role(words[2]), let seconds = Double(words[0]), seconds >= 0,
                seconds * 1000 <= Double(now.milliseconds)
            else { continue }
            let key = MediaSession.Key(role: role, session: String(words[1]), name: String(words[4]))
            self.ends[key, default: []].append(Timestamp(milliseconds: Int64(clamping: (seconds * 1000).rounded())))
        }
    }

    private static func role(_ command: Substring) -> MediaSession.Role? {
        switch command {
        case "PUBLISH": .publish
        case "PLAY": .play
        default: nil
        }
    }

    /// When the session ended that was there at `earliest`; `nil`: that is not in it.
    func end(of key: MediaSession.Key, after earliest: Timestamp) -> Timestamp? {
        self.ends[key]?.filter { $0 >= earliest }.min()
    }
}
