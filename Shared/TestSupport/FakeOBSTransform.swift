internal import Events

/// An item's place and size, as obs-websocket says and checks them.
enum FakeOBSTransform {
    /// At the top left, in the size that the settings of its source ask for.
    static func initial(of settings: [String: JSON]) -> [String: JSON] {
        let (width, height) = (settings["width"]?.double ?? 1920, settings["height"]?.double ?? 1080)
        return [
            "positionX": 0, "positionY": 0, "rotation": 0, "scaleX": 1, "scaleY": 1, "alignment": 5,
            "boundsType": "OBS_BOUNDS_NONE", "boundsAlignment": 0, "boundsWidth": 0, "boundsHeight": 0,
            "cropLeft": 0, "cropRight": 0, "cropTop": 0, "cropBottom": 0, "sourceWidth": .number(width),
            "sourceHeight": .number(height), "width": .number(width), "height": .number(height),
        ]
    }

    /// Takes over what may be set; what nobody knows is passed over.
    static func apply(_ changes: [String: JSON], to transform: inout [String: JSON]) throws {
        var changed: [String: JSON] = [:]
        for (key, value) in changes {
            if let range = self.ranges[key] {
                guard let number = value.double else { throw self.wrongType(key) }
                guard range.contains(number) else {
                    throw OBSRefusal(code: 402, comment: "The field `\(key)` is out of range.")
                }
                changed[key] = value
            } else if key == "boundsType" {
                guard let type = value.string else { throw self.wrongType(key) }
                guard self.boundsTypes.contains(type) else {
                    throw OBSRefusal(code: 400, comment: "The field `boundsType` has no such value.")
                }
                changed[key] = value
            }
        }
        guard !changed.isEmpty else {
            throw OBSRefusal(code: 703, comment: "You have not provided any valid transform changes.")
        }
        transform.merge(changed) { $1 }
        for (size, source, scale) in [("width", "sourceWidth", "scaleX"), ("height", "sourceHeight", "scaleY")] {
            transform[size] = .number((transform[source]?.double ?? 0) * (transform[scale]?.double ?? 1))
        }
    }

    private static let boundsTypes = Set(
        ["NONE", "STRETCH", "SCALE_INNER", "SCALE_OUTER", "SCALE_TO_WIDTH", "SCALE_TO_HEIGHT", "MAX_ONLY"]
            .map { "OBS_BOUNDS_\($0)" })

    private static let ranges: [String: ClosedRange<Double>] = [
        "positionX": -90001...90001, "positionY": -90001...90001, "rotation": -360...360, "scaleX": -90001...90001,
        "scaleY": -90001...90001, "alignment": 0...15, "boundsAlignment": 0...15, "boundsWidth": 1...90001,
        "boundsHeight": 1...90001, "cropLeft": 0...100_000, "cropRight": 0...100_000, "cropTop": 0...100_000,
        "cropBottom": 0...100_000,
    ]

    private static func wrongType(_ key: String) -> OBSRefusal {
        OBSRefusal(code: 401, comment: "The field value of `\(key)` has the wrong type.")
    }
}
