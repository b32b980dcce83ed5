import Events

/// What a scope allows, in words for the user who is to agree to it.
enum ScopeWords {
    private static let table: [(scope: Scope, words: String)] = [
        (.all, "Everything that you may do in this channel"),
        (.obsRead, "See sources, scenes and the state of OBS"),
        (.obsScreenshot, "Take pictures of what OBS shows and holds"),
        (.obsSources, "Change sources and place them in scenes of OBS"),
        (.obsScene, "Switch scenes in OBS"),
        (.obsStream, "Start and stop streams and recordings in OBS"),
        (.obsConnect, "Add, change and remove connections to OBS"),
        (.systemRead, "See how the system is doing"),
        (.streamsRead, "See streams and their viewers"),
        (.streamsWrite, "Start, change and end streams"),
        (.analyticsRead, "See audience numbers"),
        (.recordingsRead, "See recordings of streams"),
        (.activitiesRead, "See the channel's activities"),
        (.activitiesWrite, "Report activities in the channel's name"),
        (.channelRead, "See the channel's settings and state"),
        ("channel:write", "Announce things, and report contests and giveaways, in the channel's name"),
        (.tipsRead, "See tips"),
        (.tipsWrite, "Report tips, and choose how they are taken"),
        (.tipsModeration, "Approve and reject tips"),
        (.sessionRead, "See the numbers of the stream session"),
        (.sessionWrite, "Correct and reset the numbers of the stream session"),
        (.streamLiveRead, "See whether the channel is live"),
        (.overlaysRead, "See overlays"),
        (.overlaysWrite, "Change overlays and tell them what to do"),
        (.overlaysBroadcast, "Send messages to overlays"),
        (.kvstoreRead, "Read stored values"),
        ("kvstore:write", "Report stored values"),
        (.storeRead, "See the store"),
        ("store:write", "Report what happens in the store"),
        (.botRead, "See what the chat bot does"),
        ("bot:write", "Report what the chat bot does"),
        (.radioRead, "See radio stations and what they play"),
        (.radioWrite, "Run radio stations: play, schedule, take over"),
        (.camerasRead, "See cameras and what they detect"),
        (.camerasWrite, "Add, change and remove cameras"),
        (.camerasControl, "Control cameras"),
        ("users:read", "See users and channels"),
        ("users:write", "Add, change and remove users and channels"),
        ("keys:write", "Make and revoke API keys and applications"),
        (.auditRead, "Read the audit log"),
        (.authAdmin, "Administer sign-in and credentials of every channel"),
    ]

    static let known = table.map(\.scope)

    private static let byScope = Dictionary(uniqueKeysWithValues: table.map { ($0.scope, $0.words) })

    static func words(for scope: Scope) -> String {
        if let words = self.byScope[scope] { return words }
        let parts = scope.name.split(separator: ":")
        if parts.count == 3 {
            return "\(self.words(for: Scope("\(parts[0]):\(parts[1])"))), on \(parts[2]) only"
        }
        guard scope.name.hasSuffix(":*") else { return scope.name }
        return "Everything to do with \(scope.name.dropLast(2))"
    }
}
