internal import Events
internal import Foundation
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// A real OBS Studio of the tests' own, on a virtual display: a home in a temporary directory, gone with the test process.
public final class OBSFixture: Sendable {
    public enum Failure: Error { case notInstalled, isRunning, isNotRunning, failed(String, log: String) }

    public let port: Int
    public let password = "correct-horse"
    /// Its home; recordings are in there too.
    public let directory: String
    /// The shell that holds OBS and its display, and ends both when our end of its standard input closes, however we end.
    private let keeper: NIOLockedValueBox<(process: Process, input: Pipe)?>
    private let running = NIOLockedValueBox<Int32?>(nil)

    /// Whether this machine has OBS and an X server without a screen.
    public static var isAvailable: Bool {
        [Self.obs, Self.display].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
    }

    private static let obs = "/usr/bin/obs"
    private static let display = "/usr/bin/Xvfb"

    /// Runs `body` with an OBS of its own, started, and ends it.
    public static func with<R>(_ body: (OBSFixture) async throws -> R) async throws -> R {
        guard Self.isAvailable else { throw Failure.notInstalled }
        let fixture = try OBSFixture()
        do {
            try await fixture.start()
            let value = try await body(fixture)
            await fixture.end()
            return value
        } catch {
            await fixture.end()
            throw error
        }
    }

    private init() throws {
        guard let port = freeEndpoint().split(separator: ":").last.flatMap({ Int($0) }) else {
            preconditionFailure("an endpoint without a port")
        }
        self.port = port
        self.directory = "/tmp/crosspoint-obs-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let input = Pipe()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", Self.script, "bash", self.directory]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        // It says there which of its children were killed.
        process.standardError = FileHandle.nullDevice
        self.keeper = NIOLockedValueBox((process, input))
        try FileManager.default.createDirectory(atPath: self.profile, withIntermediateDirectories: true)
        try Self.basicINI(recordings: self.directory)
            .write(toFile: "\(self.profile)/basic.ini", atomically: true, encoding: .utf8)
        try process.run()
    }

    /// Of the running OBS; 0 when none runs.
    public var pid: Int32 { self.running.withLockedValue { $0 } ?? 0 }

    /// Its display's name (`:1`), to look at: `ffmpeg -f x11grab -i :1 -frames:v 1 shot.png`.
    public var display: String {
        // `try?`: before the X server has written it there is none.
        let number = try? String(contentsOfFile: "\(self.directory)/display", encoding: .utf8)
        return ":" + (number ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The scene collection as OBS has saved it: what a kill leaves. It saves soon after CreateInput and other changes of what there
    /// is, but after a move only when something else makes it.
    public var savedScenes: String {
        // `try?`: nothing saved yet.
        (try? String(contentsOfFile: "\(self.settings)/basic/scenes/Untitled.json", encoding: .utf8)) ?? ""
    }

    // MARK: the process

    /// Starts OBS, at first or again, with what the one before has saved, and waits until obs-websocket takes connections.
    public func start() async throws {
        guard self.pid == 0 else { throw Failure.isRunning }
        try self.configure()
        let pidFile = "\(self.directory)/obs.pid"
        // `try?`: at the first start there is none.
        try? FileManager.default.removeItem(atPath: pidFile)
        try self.keeper.withLockedValue { try $0?.input.fileHandleForWriting.write(contentsOf: Data("start\n".utf8)) }
        try await self.until("OBS has a process") {
            // `try?`: not written yet.
            guard let pid = (try? String(contentsOfFile: pidFile, encoding: .utf8)).flatMap({ Int32($0) }) else {
                return false
            }
            self.running.withLockedValue { $0 = pid }
            return true
        }
        try await self.until("obs-websocket listens") {
            guard Glibc.kill(self.pid, 0) == 0 else {
                self.running.withLockedValue { $0 = nil }
                throw Failure.failed("OBS ended at its start", log: self.log)
            }
            return await self.takesConnections()
        }
    }

    /// Ends it like a power cut.
    public func kill() async throws {
        let pid = self.pid
        try self.signal(SIGKILL)
        // The keeper reaps it at once.
        try await self.until("OBS has ended") { Glibc.kill(pid, 0) != 0 }
        self.running.withLockedValue { $0 = nil }
    }

    /// Ends it by closing its window: it saves its scenes, says so to its clients and closes. An open dialog is closed first.
    public func quit() async throws {
        let (pid, display) = (self.pid, XDisplay(number: String(self.display.dropFirst())))
        guard pid > 0 else { throw Failure.isNotRunning }
        var asked = ContinuousClock.now - .seconds(2)
        try await self.until("OBS has ended") {
            if ContinuousClock.now >= asked + .seconds(2) {
                asked = .now
                try await NIOThreadPool.singleton.runIfActive { try display.closeWindows() }
            }
            return Glibc.kill(pid, 0) != 0
        }
        self.running.withLockedValue { $0 = nil }
    }

    /// It stays, and its connections with it, but does nothing until `thaw`.
    public func freeze() throws { try self.signal(SIGSTOP) }
    public func thaw() throws { try self.signal(SIGCONT) }

    /// Where StartStream sends its stream from now on, after a restart too.
    public func setStreamServer(_ url: String, key: String) async throws {
        let hand = try await OBSHand.connect(port: self.port, password: self.password)
        let settings: JSON = ["server": .string(url), "key": .string(key), "use_auth": false, "bwtest": false]
        try await hand.request(
            "SetStreamServiceSettings", ["streamServiceType": "rtmp_custom", "streamServiceSettings": settings])
        await hand.close()
    }

    private func signal(_ signal: Int32) throws {
        guard self.pid > 0 else { throw Failure.isNotRunning }
        guard Glibc.kill(self.pid, signal) == 0 else { throw Failure.failed("OBS had ended already", log: self.log) }
    }

    private func end() async {
        let keeper = self.keeper.withLockedValue { keeper in
            defer { keeper = nil }
            return keeper
        }
        guard let keeper else { return }
        // `try?`: what does not end by this ends with the test process.
        try? keeper.input.fileHandleForWriting.close()
        try? await self.until("OBS and its display have ended") { !keeper.process.isRunning }
    }

    // MARK: what it needs

    /// Signals stay ignored for the keeper only: the two shall end as they do elsewhere.
    private static let script = """
        trap '' INT TERM HUP
        env --default-signal=INT,TERM,HUP \(OBSFixture.display) -displayfd 3 -screen 0 1280x720x24 -nolisten tcp \
            3> "$1/display" 2> "$1/display.log" &
        display=$!
        obs=
        while read -r line; do
            until [ -s "$1/display" ]; do sleep 0.02; done
            env --ignore-environment --default-signal=INT,TERM,HUP PATH="$PATH" LANG=C.UTF-8 HOME="$1" \
                XDG_RUNTIME_DIR="$1" DISPLAY=":$(cat "$1/display")" LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb \
                \(OBSFixture.obs) --multi --minimize-to-tray --disable-updater --disable-missing-files-check \
                > "$1/obs.log" 2>&1 &
            obs=$!
            printf %s "$obs" > "$1/obs.pid.new"
            mv "$1/obs.pid.new" "$1/obs.pid"
        done
        for job in $(jobs -rp); do [ "$job" = "$obs" ] && kill -KILL "$job"; done
        kill -TERM "$display"
        wait
        rm -rf "$1"
        """

    private var settings: String { "\(self.directory)/.config/obs-studio" }
    private var profile: String { "\(self.settings)/basic/profiles/Untitled" }

    /// OBS writes this file anew as it ends; one that is killed at that may leave it empty.
    private func configure() throws {
        let path = "\(self.settings)/global.ini"
        // `try?`: none is the first start.
        let present = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        guard !present.contains("ServerPassword=\(self.password)") else { return }
        try Self.globalINI(port: self.port, password: self.password)
            .write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Nothing that asks a question at the start, and obs-websocket on our port.
    private static func globalINI(port: Int, password: String) -> String {
        """
        [General]
        FirstRun=true
        EnableAutoUpdates=false
        ConfirmOnExit=false
        Pre19Defaults=false
        Pre21Defaults=false
        Pre23Defaults=false
        Pre24.1Defaults=false
        [BasicWindow]
        PreviewEnabled=false
        [OBSWebSocket]
        FirstLoad=false
        ServerEnabled=true
        ServerPort=\(port)
        AlertsEnabled=false
        AuthRequired=true
        ServerPassword=\(password)

        """
    }

    /// A small picture, seldom: there is no graphics card.
    private static func basicINI(recordings: String) -> String {
        """
        [General]
        Name=Untitled
        [Video]
        BaseCX=640
        BaseCY=360
        OutputCX=640
        OutputCY=360
        FPSType=0
        FPSCommon=10
        [Output]
        Mode=Simple
        [SimpleOutput]
        FilePath=\(recordings)
        RecFormat=mkv
        RecQuality=Stream
        VBitrate=300
        StreamEncoder=x264
        UseAdvanced=true
        Preset=ultrafast

        """
    }

    private var log: String {
        // `try?`: without a log there is nothing more to say.
        (try? String(contentsOfFile: "\(self.directory)/obs.log", encoding: .utf8)) ?? ""
    }

    private func takesConnections() async -> Bool {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        // `try?`: refused is an answer, and one that has closed is closed.
        guard let channel = try? await bootstrap.connect(host: "127.0.0.1", port: self.port).get() else { return false }
        try? await channel.close()
        return true
    }

    private func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                throw Failure.failed("waited in vain until \(what)", log: self.log)
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
