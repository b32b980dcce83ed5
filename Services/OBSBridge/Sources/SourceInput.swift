import Events

/// What a source is in an OBS: the kind of its input, and the input's settings.
struct SourceInput: Sendable, Equatable {
    /// As OBS names it, with its version: `browser_source`, `color_source_v3`.
    var kind: String
    private var family: Family

    /// The kinds whose settings we know how to write.
    private enum Family: String, CaseIterable {
        case browser = "browser_source"
        case media = "ffmpeg_source"
        case image = "image_source"
        case color = "color_source"
        case text = "text_ft2_source"
        /// Any other gets the address as `url`.
        case other = ""
    }

    /// Chooses among the kinds that an OBS has; of one with versions, the newest. `nil`: it has none of them.
    init?(_ wanted: String, fallback: String?, among kinds: [String]) {
        for name in [wanted, fallback].compactMap(\.self) {
            guard let kind = Self.newest(name, among: kinds) else { continue }
            self.init(existing: kind)
            return
        }
        return nil
    }

    /// What an input of that kind is.
    init(existing kind: String) {
        self.kind = kind
        self.family = Family.allCases.first { $0 != .other && Self.isVersion(kind, of: $0.rawValue) } ?? .other
    }

    /// Whether it shows a page, which can be loaded anew.
    var isBrowser: Bool { self.family == .browser }

    /// - Parameter page: the address that the input loads: the source's, or the bridge's page around it.
    func settings(of source: Source, page: String) -> JSON {
        var settings: [String: JSON] = [StudioSnapshot.marker: .string(source.id)]
        let (width, height) = (JSON.integer(Int64(source.width)), JSON.integer(Int64(source.height)))
        switch self.family {
        case .browser:
            settings["url"] = .string(page)
            settings["width"] = width
            settings["height"] = height
            settings["css"] = .string(source.cssCustom)
            settings["shutdown"] = true
        case .media:
            settings["is_local_file"] = false
            settings["input"] = .string(source.url)
        case .image: settings["file"] = .string(source.url)
        case .color:
            settings["width"] = width
            settings["height"] = height
        case .text: settings["text"] = .string(source.name)
        case .other: settings["url"] = .string(source.url)
        }
        return .object(settings)
    }

    private static func newest(_ name: String, among kinds: [String]) -> String? {
        kinds.filter { Self.isVersion($0, of: name) }
            .max { (Self.version(of: $0, name) ?? 1) < (Self.version(of: $1, name) ?? 1) }
    }

    private static func isVersion(_ kind: String, of name: String) -> Bool {
        kind == name || Self.version(of: kind, name) != nil
    }

    /// The number in `color_source_v3`; `nil`: there is none.
    private static func version(of kind: String, _ name: String) -> Int? {
        kind.hasPrefix("\(name)_v") ? Int(kind.dropFirst(name.count + 2)) : nil
    }
}
