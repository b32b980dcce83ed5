import Foundation

@testable import Events
@testable import ForeignMessages
@testable import Peers
@testable import Requests

/// What reads the bytes of others, by name. Each reads them, and does with the result what the services do: computes with numbers, writes
/// it again. What holds for every result is a precondition.
let parsers: [String: @Sendable ([UInt8]) -> Void] = [
    "json": json, "form": form, "hook": hook, "statistics": statistics, "obs": obs, "bus": bus,
    "request-head": requestHead,
    "proxy-header": proxyHeader, "moment": moment,
]

@Sendable private func json(_ bytes: [UInt8]) {
    guard let value = JSON(parsing: bytes) else {
        precondition(JSON(parsing: bytes, duplicates: .refused) == nil)
        return
    }
    precondition(JSON(parsing: value.bytes) == value, "what is written is read as the same")
    precondition(JSON(parsing: JSON.encode(value)) != nil, "what is encoded is JSON")
    if let integer = value.integer { precondition(JSON.integers.contains(integer)) }
    // `try?`: a decoder may refuse what it is given.
    _ = try? JSON.decode(JSON.self, from: bytes)
    _ = try? JSON.decode(Principal.self, from: bytes)
    _ = try? JSON.decode(FeedStream.self, from: bytes)
}

@Sendable private func form(_ bytes: [UInt8]) {
    // `try?`: most are refused.
    guard let form = try? FormParameters(bytes) else { return }
    for name in ["a", "key", "name"] {
        guard let value = form[name] else { continue }
        let written = FormParameters.encode(value)
        precondition(FormParameters.decode(Array(written.utf8)[...]) == value, "what is written is read as the same")
    }
}

/// The first byte says which kind of server.
@Sendable private func hook(_ bytes: [UInt8]) {
    guard let kind = bytes.first, let query = try? FormParameters([]) else { return }
    let adapters: [any MediaAdapter] = [NginxRTMP(), SRS(), MediaMTX()]
    let request = HookRequest(query: query, body: Array(bytes.dropFirst()))
    // `try?`: most are refused.
    _ = try? adapters[Int(kind) % adapters.count].call(request)
}

/// The first byte says which kind of server.
@Sendable private func statistics(_ bytes: [UInt8]) {
    guard let kind = bytes.first else { return }
    let (rest, moment) = (Array(bytes.dropFirst()), Timestamp(milliseconds: 1_700_000_000_000))
    var snapshot = MediaSnapshot()
    switch kind % 3 {
    case 0: snapshot = (try? NginxRTMP.snapshot(rest, at: moment)) ?? snapshot
    case 1:
        guard let list = JSON(parsing: rest, duplicates: .refused) else { return }
        func objects(_ name: String) -> [[String: JSON]] { (list[name]?.array ?? []).compactMap(\.object) }
        snapshot = SRS.snapshot(streams: objects("streams"), clients: objects("clients"), at: moment)
    default:
        for item in JSON(parsing: rest, duplicates: .refused)?["items"]?.array ?? [] {
            MediaMTX.add(item, to: &snapshot)
        }
    }
    for start in snapshot.publishers.map(\.startedAt) + snapshot.players.map(\.startedAt) { _ = start?.iso8601 }
    for publisher in snapshot.publishers {
        let health = StreamHealth(
            streamID: publisher.name, bitrate: publisher.bytes.increase(since: 1).map(Double.init), fps: publisher.fps,
            packetLoss: nil, latency: nil)
        precondition(JSON(parsing: JSON.encode(health)) != nil)
    }
}

@Sendable private func obs(_ bytes: [UInt8]) {
    func use(_ data: JSON) {
        if let stats = OBSStats(data) {
            precondition(JSON(parsing: JSON.encode(OBSStatsUpdate(stats: stats.payload))) != nil)
        }
        for item in [data] + (data["sceneItems"]?.array ?? []) {
            guard let config = SceneItem(item)?.config(knowing: nil) else { continue }
            precondition(JSON(parsing: JSON.encode(config)) != nil)
            _ = config.transform.bytes
        }
        if let duration = data["outputDuration"]?.integer { _ = (Timestamp.now - .milliseconds(duration)).iso8601 }
    }
    switch OBSMessage(bytes) {
    case .event(let event): use(event.data)
    case .response(_, let answer): use((try? answer.get()) ?? [:])
    case .batchResponse(_, let answers): for answer in answers { use((try? answer.get()) ?? [:]) }
    case .hello, .identified, .other, nil: break
    }
}

/// Frames, each with its length in front in two bytes.
@Sendable private func bus(_ bytes: [UInt8]) {
    var frames: [[UInt8]] = []
    var rest = bytes[...]
    while rest.count >= 2 {
        let length = Int(rest.removeFirst()) << 8 | Int(rest.removeFirst())
        frames.append(Array(rest.prefix(length)))
        rest = rest.dropFirst(length)
    }
    if let event = EventCodec.event(from: frames) {
        _ = (event.time.iso8601, event.id.text)
        _ = (event.time - .now, event.time + .seconds(Int64.max))
        precondition(EventCodec.event(from: EventCodec.frames(of: event)) == event)
    }
    _ = Announcement(frames: frames)
    if let request = CommandRequest(frames: frames[...]) { _ = request.timeLeft + .seconds(1) }
    _ = CommandReply(frames: frames)
    if let first = frames.first, let page = ReplayPage(bytes: first) {
        precondition(ReplayPage(bytes: page.bytes)?.events.count == page.events.count)
    }
}

@Sendable private func requestHead(_ bytes: [UInt8]) {
    guard case .complete(let head) = RequestHead.parse(bytes) else { return }
    _ = head.header("connection", contains: "upgrade")
    precondition(head.leftover.count < bytes.count)
    // Where it is cut makes no difference.
    let cut = bytes.count - head.leftover.count
    precondition(RequestHead.parse(Array(bytes[..<cut]), searched: cut / 2) != .malformed)
}

@Sendable private func proxyHeader(_ bytes: [UInt8]) { _ = ProxyHeader.parse(bytes) }

@Sendable private func moment(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    func check(_ moment: Timestamp) {
        // Foundation reads what is earlier in the Julian calendar.
        let gregorian = Timestamp(milliseconds: -12_219_292_800_000)
        precondition(
            moment < gregorian || Timestamp(iso8601: moment.iso8601) == moment, "what is written is read as the same")
    }
    if let moment = Timestamp(iso8601: text) { check(moment) }
    if let number = Int64(text) {
        let moment = Timestamp(milliseconds: number)
        _ = (moment.iso8601, moment.rfc3339, moment.date, moment.seconds)
        if let moment = Timestamp(untrusted: number) { check(moment) }
    }
    _ = ULID(text: text)?.time.iso8601
    if let number = Double(text) {
        _ = (Int64(clamping: number), Timestamp(Date(timeIntervalSince1970: number)).iso8601)
    }
}
