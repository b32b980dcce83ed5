import Access
import DomainService
import Events
import ForeignMessages
import HTTPTypes
import Hummingbird
import ServiceKit

/// What leaves OBS: stream and recording, started and stopped, sound, pictures. Answers say what OBS does, not what it was asked for.
struct OutputsAPI {
    let target: OBSTarget
    let audit: CommandAudit

    private static let formats: Set = ["png", "jpg", "jpeg", "bmp", "webp"]

    func add(to router: Router<APIContext>) {
        for prefix in OBSTarget.prefixes {
            for output in [Output.stream, .record] {
                router.get(RouterPath("\(prefix)/\(output.path)")) { try await self.read(output, $1) }
                router.post(RouterPath("\(prefix)/\(output.path)/start")) { try await self.turn(output, true, $1) }
                router.post(RouterPath("\(prefix)/\(output.path)/stop")) { try await self.turn(output, false, $1) }
            }
            router.post(RouterPath("\(prefix)/inputs/:inputName/mute")) { try await self.mute($0, $1) }
            router.get(RouterPath("\(prefix)/screenshot")) { try await self.screenshot($0, $1) }
        }
    }

    /// Stream or recording.
    private enum Output: Sendable {
        case stream, record

        var path: String { self == .stream ? "stream" : "record" }
        var noun: String { self == .stream ? "stream" : "recording" }
        var told: OutputStates.Output { self == .stream ? .stream : .record }
        var statusRequest: String { self == .stream ? "GetStreamStatus" : "GetRecordStatus" }
        var startRequest: String { self == .stream ? "StartStream" : "StartRecord" }
        var stopRequest: String { self == .stream ? "StopStream" : "StopRecord" }

        func json(_ status: JSON) -> [String: JSON] {
            var json: [String: JSON] = [
                "active": status["outputActive"] ?? false, "timecode": status["outputTimecode"] ?? .null,
                "durationMs": status["outputDuration"] ?? .null, "bytes": status["outputBytes"] ?? .null,
            ]
            switch self {
            case .stream:
                json["reconnecting"] = status["outputReconnecting"] ?? false
                json["congestion"] = status["outputCongestion"] ?? .null
                json["skippedFrames"] = status["outputSkippedFrames"] ?? .null
                json["totalFrames"] = status["outputTotalFrames"] ?? .null
            case .record: json["paused"] = status["outputPaused"] ?? false
            }
            return json
        }
    }

    @Sendable
    private func read(_ output: Output, _ context: APIContext) async throws -> Response {
        let link = try await self.target.studio(context, try self.target.reader(context)).link
        return try await OBSFailure.answering {
            .json(JSON.object(output.json(try await link.request(output.statusRequest))))
        }
    }

    /// How long an output may take to start or stop: connecting to a server takes longest.
    private static let turnMax = Duration.seconds(20)

    @Sendable
    private func turn(_ output: Output, _ isOn: Bool, _ context: APIContext) async throws -> Response {
        let verb = isOn ? "start" : "stop"
        let name = self.target.name(context)
        let body = try await self.audit.carryOut("\(output.path).\(verb)", .obsStream, on: name, context) { principal in
            guard let keeper = try await self.target.keeper(context, principal), let studio = keeper.status.studio
            else {
                throw OBSFailure.notConnected.apiFailure
            }
            return try await OBSFailure.answering { try await self.turn(output, isOn, keeper, studio.link) }
        }
        return .json(JSON.object(body))
    }

    private func turn(
        _ output: Output, _ isOn: Bool, _ keeper: ConnectionKeeper, _ link: OBSLink
    ) async throws -> [String: JSON] {
        let before = keeper.outputs.last(output.told).count
        var path: JSON?
        do throws(OBSFailure) {
            path = try await link.request(isOn ? output.startRequest : output.stopRequest)["outputPath"]
        } catch {
            throw error.told([
                500: APIFailure(.conflict, "The \(output.noun) is already active"),
                501: APIFailure(.conflict, "The \(output.noun) is not active"),
            ])
        }
        let deadline = ContinuousClock.now + Self.turnMax
        while true {
            let status = try await link.request(output.statusRequest)
            let told = keeper.outputs.last(output.told)
            if status["outputActive"]?.bool == isOn {
                // An output is active from its first packet to its last; when it stops, OBS says that it has.
                if isOn || told.count == before || told.state == "STOPPED" {
                    return self.turned(output, isOn, status, path ?? told.path.map(JSON.string))
                }
            } else if isOn, told.count > before, told.state == "STOPPED" {
                throw APIFailure(
                    .internalServerError, "Failed to start the \(output.noun): OBS stopped it, see OBS's own log")
            }
            guard ContinuousClock.now < deadline else {
                throw APIFailure(
                    .internalServerError,
                    "Failed to \(isOn ? "start" : "stop") the \(output.noun): OBS says \(told.state.isEmpty ? "nothing" : told.state) after \(Self.turnMax.components.seconds) s"
                )
            }
            // OBS is asked: what it tells by itself may come early, or not at all.
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func turned(_ output: Output, _ isOn: Bool, _ status: JSON, _ path: JSON?) -> [String: JSON] {
        var body = output.json(status)
        body["success"] = true
        body["message"] = .string("The \(output.noun) is \(isOn ? "active" : "stopped")")
        if output == .record, !isOn { body["outputPath"] = path ?? .null }
        return body
    }

    @Sendable
    private func mute(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        try await self.audit.authorize("input.mute", .obsSources, on: name, context)
        let input = try context.text("inputName")
        let members = Members(try await request.decodeObject(context))
        try members.requireOnly(["muted"], "is not known here")
        let wanted = try members.require("muted", try members.bool("muted"))
        let details: JSON = ["inputName": .string(input), "muted": .bool(wanted)]
        let muted = try await self.audit.carryOut("input.mute", .obsSources, on: name, context, details: details) {
            principal in
            let link = try await self.target.studio(context, principal).link
            return try await OBSFailure.answering {
                do throws(OBSFailure) {
                    try await link.request(
                        "SetInputMute", ["inputName": .string(input), "inputMuted": .bool(wanted)])
                    return try await link.request("GetInputMute", ["inputName": .string(input)])["inputMuted"]?.bool
                } catch {
                    throw error.told([
                        OBSAnswer.notFound: .notInOBS("Input", input),
                        604: APIFailure(.badRequest, "The input '\(input.prefix(200))' has no sound"),
                    ])
                }
            }
        }
        return .json(
            [
                "success": .bool(muted == wanted),
                "message": .string("The input is \(muted == true ? "muted" : "not muted")"),
                "inputName": .string(input), "muted": .bool(muted ?? false),
            ] as JSON)
    }

    @Sendable
    private func screenshot(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsScreenshot, on: .obsConnection(self.target.name(context)))
        let link = try await self.target.studio(context, principal).link
        let query = request.uri.queryParameters
        let format = query["format"].map(String.init) ?? "png"
        guard Self.formats.contains(format) else {
            throw APIFailure(
                .badRequest, "Validation failed: format must be one of \(Self.formats.sorted().joined(separator: ", "))"
            )
        }
        var data: [String: JSON] = ["imageFormat": .string(format)]
        for (name, member, range) in [
            ("width", "imageWidth", 8...4096), ("height", "imageHeight", 8...4096),
            ("quality", "imageCompressionQuality", -1...100),
        ] where query.has(name) {
            data[member] = .integer(Int64(try query.number(name, range, default: 0)))
        }
        return try await OBSFailure.answering {
            let source: String
            if let named = query["source"] { source = String(named) } else { source = try await link.programScene() }
            data["sourceName"] = .string(source)
            do throws(OBSFailure) {
                let answer = try await link.request("GetSourceScreenshot", .object(data))
                return .json(
                    [
                        "sourceName": .string(source), "format": .string(format),
                        "imageData": answer["imageData"] ?? .null,
                    ] as JSON)
            } catch {
                throw error.told([OBSAnswer.notFound: .notInOBS("Source", source)])
            }
        }
    }
}

extension Parameters {
    fileprivate func has(_ name: String) -> Bool { self[name[...]] != nil }
}
