public import Events
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOWebSocket

/// An obs-websocket 5 server for what a real OBS does not do on demand. Its settings are its properties, and count from now on:
/// `obs.closeAtIdentify = 4010`.
@dynamicMemberLookup
public final class FakeOBS: Sendable {
    public struct Settings: Sendable {
        public var password: String?
        public var obsVersion = "30.2.3"
        /// Before 5.3 there are no uuids, before 5.4 no InputSettingsChanged.
        public var websocketVersion = "5.5.2"
        /// Ends connections with that code in place of Identified.
        public var closeAtIdentify: UInt16?
        /// Answers in reverse order what comes within 50 ms.
        public var answersOutOfOrder = false
        /// Events of a request follow its answer; both orders occur in OBS.
        public var answersBeforeEvents = false
        /// Fields that nobody knows yet, in answers and events.
        public var addsUnknownFields = false
        /// Refuses every request with 207, as OBS does while it changes its scene collection.
        public var isNotReady = false
        /// Stands for every number in answers' and events' data, in whatever letters.
        public var numberText: String?
        public var kinds: [String]
    }

    public static let usualKinds = [
        "image_source", "color_source_v3", "browser_source", "ffmpeg_source", "text_ft2_source_v2", "xshm_input",
    ]

    /// All connections are on one loop, so what is given to it goes out in that order.
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let listener = NIOLockedValueBox<(channel: (any Channel)?, port: Int)>((nil, 0))
    let state: NIOLockedValueBox<FakeOBSState>

    public static func with<R>(
        password: String? = nil, kinds: [String] = FakeOBS.usualKinds, scenes: [String] = ["Scene"],
        _ body: (FakeOBS) async throws -> R
    ) async throws -> R {
        let obs = FakeOBS(FakeOBSModel(settings: Settings(password: password, kinds: kinds), scenes: scenes))
        try await obs.start()
        do {
            let value = try await body(obs)
            try await obs.stop()
            return value
        } catch {
            // `try?`: the first error says more.
            try? await obs.stop()
            throw error
        }
    }

    private init(_ model: FakeOBSModel) { self.state = NIOLockedValueBox(FakeOBSState(model)) }

    public var port: Int { self.listener.withLockedValue { $0.port } }

    public subscript<Value>(dynamicMember member: WritableKeyPath<Settings, Value>) -> Value {
        get { self.state.withLockedValue { $0.model.settings[keyPath: member] } }
        set { self.state.withLockedValue { $0.model.settings[keyPath: member] = newValue } }
    }

    // MARK: its connections

    /// Listens (again, on the same port).
    public func start() async throws {
        let upgrader = NIOWebSocketServerUpgrader(
            maxFrameSize: 32_000_000,
            shouldUpgrade: { channel, head in self.open(channel, head) },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1000,
                            maxAccumulatedFrameSize: 32_000_000),
                        FakeOBSConnection(self))
                }
            })
        let channel = try await ServerBootstrap(group: self.eventLoop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.pipeline.configureHTTPServerPipeline(
                    withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
            }
            .bind(host: "127.0.0.1", port: self.port).get()
        self.listener.withLockedValue { $0 = (channel, channel.localAddress?.port ?? 0) }
    }

    /// Ends all connections with no word, and listens no more: OBS is not running.
    public func stop() async throws {
        let channel = self.listener.withLockedValue { listener in
            defer { listener.channel = nil }
            return listener.channel
        }
        try await channel?.close()
        self.resume()
        self.dropAll()
    }

    /// Reads, but says nothing, no PONG either, and makes no new connection, until `resume`: then it does all of it.
    public func stall() { self.state.withLockedValue { $0.isStalled = true } }

    public func resume() {
        let waiting = self.state.withLockedValue { $0.resume() }
        for promise in waiting { promise.succeed(()) }
    }

    /// Ends all connections with a close code.
    public func closeAll(code: UInt16) { self.state.withLockedValue { $0.closeAll(code) } }

    /// Ends all connections with no word.
    public func dropAll() {
        let channels = self.state.withLockedValue { $0.sessions.values.map(\.channel) }
        for channel in channels { channel.close(promise: nil) }
    }

    /// How many clients are identified.
    public var clients: Int { self.state.withLockedValue { $0.sessions.values.count(where: \.isIdentified) } }

    /// How many connections there were, with those that have ended.
    public var connectionsMade: Int { self.state.withLockedValue { $0.connectionsMade } }

    /// Of every kind, identified or not.
    public var messagesReceived: Int { self.state.withLockedValue { $0.messagesReceived } }

    /// How often a client has proved to know a password.
    public func proofs(of password: String) -> Int {
        self.state.withLockedValue { state in
            state.proofs.count { proof in
                proof.text == OBSHand.authentication(password, salt: state.salt, challenge: proof.challenge)
            }
        }
    }

    // MARK: its requests

    /// What was asked so far, one by one for a batch.
    public var requests: [(type: String, data: JSON)] { self.state.withLockedValue { $0.requests } }

    /// Refuses the next requests of that type.
    public func refuse(_ requestType: String, code: Int, comment: String = "as the test wants it", times: Int = .max) {
        let refusal = OBSRefusal(code: code, comment: comment)
        self.state.withLockedValue { $0.refusals[requestType] = times > 0 ? (refusal, times) : nil }
    }

    /// Puts these fields over those of the answers of that type: `obs.answer("GetStats", with: ["activeFps": 12])`.
    public func answer(_ requestType: String, with fields: [String: JSON]) {
        self.state.withLockedValue { $0.answers[requestType, default: [:]].merge(fields) { $1 } }
    }

    // MARK: by hand

    /// Does what a request does, as somebody at its window would; it is none of the `requests`.
    @discardableResult
    public func byHand(_ requestType: String, _ data: JSON = [:]) throws -> JSON {
        try self.state.withLockedValue { state in
            let answer = try state.model.answer(requestType, data)
            state.tell()
            return .object(answer)
        }
    }

    /// From the bottom to the top, as GetSceneItemList says them; empty for a scene that is not there.
    public func sceneItems(_ scene: String) -> [JSON] {
        // `try?`: which is what is said here.
        (try? self.byHand("GetSceneItemList", ["sceneName": .string(scene)]))?["sceneItems"]?.array ?? []
    }

    public func inputSettings(_ input: String) throws -> JSON {
        try self.byHand("GetInputSettings", ["inputName": .string(input)])["inputSettings"] ?? [:]
    }

    public func moveItem(_ id: Int, in scene: String, x: Double, y: Double) throws {
        let place: JSON = ["positionX": .number(x), "positionY": .number(y)]
        try self.byHand("SetSceneItemTransform", Self.item(id, scene, ["sceneItemTransform": place]))
    }

    public func enableItem(_ id: Int, in scene: String, _ isEnabled: Bool) throws {
        try self.byHand("SetSceneItemEnabled", Self.item(id, scene, ["sceneItemEnabled": .bool(isEnabled)]))
    }

    public func removeItem(_ id: Int, from scene: String) throws {
        try self.byHand("RemoveSceneItem", Self.item(id, scene, [:]))
    }

    public func renameInput(_ name: String, to newName: String) throws {
        try self.byHand("SetInputName", ["inputName": .string(name), "newInputName": .string(newName)])
    }

    public func removeInput(_ name: String) throws { try self.byHand("RemoveInput", ["inputName": .string(name)]) }

    public func renameScene(_ name: String, to newName: String) throws {
        try self.byHand("SetSceneName", ["sceneName": .string(name), "newSceneName": .string(newName)])
    }

    /// Changes to another scene collection, a new one if need be, with the events that OBS sends, in its order.
    public func switchCollection(to name: String) throws {
        let isKnown = self.state.withLockedValue { $0.model.collections.contains(name) }
        try self.byHand(
            isKnown ? "SetCurrentSceneCollection" : "CreateSceneCollection", ["sceneCollectionName": .string(name)])
    }

    /// Says what OBS says as it ends: that everything is removed, then that it exits; and closes with 1001. What it held stays.
    public func exit() {
        self.state.withLockedValue { state in
            state.model.sayExit()
            state.tell()
            state.closeAll(1001)
        }
    }

    private static func item(_ id: Int, _ scene: String, _ fields: [String: JSON]) -> JSON {
        .object(fields.merging(["sceneName": .string(scene), "sceneItemId": .integer(Int64(id))]) { $1 })
    }

    private func open(_ channel: any Channel, _ head: HTTPRequestHead) -> EventLoopFuture<HTTPHeaders?> {
        let protocols = head.headers[canonicalForm: "Sec-WebSocket-Protocol"]
        let headers: HTTPHeaders =
            protocols.contains("obswebsocket.json") ? ["Sec-WebSocket-Protocol": "obswebsocket.json"] : [:]
        let awake = channel.eventLoop.makePromise(of: Void.self)
        if !self.state.withLockedValue({ $0.waitUntilAwake(awake) }) { awake.succeed(()) }
        return awake.futureResult.map { headers }
    }
}
