import DomainService
import Events
import HTTPTypes
import ServiceKit

/// Where a client wants a source to stand: the fields that it named, each one checked (contract source-saver §9; the limits of
/// positions are OBS's own, contract obs-websocket §6).
struct PlacementDraft: Sendable {
    private var numbers: [(any WritableKeyPath<PlacementConfig, Double> & Sendable, Double)] = []
    private var visible: Bool?
    /// What it names, for the audit log.
    private(set) var details: JSON = [:]

    private static let fields:
        [(name: String, range: ClosedRange<Double>, path: any WritableKeyPath<PlacementConfig, Double> & Sendable)] = [
            ("x", -90_001...90_001, \.x), ("y", -90_001...90_001, \.y), ("width", 1...7680, \.width),
            ("height", 1...4320, \.height), ("scaleX", 0.1...10, \.scaleX), ("scaleY", 0.1...10, \.scaleY),
            ("rotation", 0...360, \.rotation),
        ]

    /// Throws 400. Other members are passed over.
    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body, nullIsAbsent: false)
        do throws(APIFailure) {
            for field in Self.fields {
                guard let value = try members.number(field.name, field.range) else { continue }
                self.numbers.append((field.path, value))
            }
            self.visible = try members.bool("visible")
            let known = Set(Self.fields.map(\.name)).union(["visible"])
            self.details = .object(body.filter { known.contains($0.key) })
        } catch {
            throw APIFailure(.badRequest, "Invalid configuration: \(error.message)")
        }
    }

    var isEmpty: Bool { self.numbers.isEmpty && self.visible == nil }

    /// Throws 400 for what would be smaller than a pixel, which OBS refuses.
    func apply(to config: inout PlacementConfig) throws(APIFailure) {
        for (path, value) in self.numbers { config[keyPath: path] = value }
        config.visible = self.visible ?? config.visible
        for (name, size) in [("width", config.width * config.scaleX), ("height", config.height * config.scaleY)]
        where size < 1 {
            throw APIFailure(.badRequest, "Invalid configuration: \(name) must be at least a pixel when it is scaled")
        }
    }
}
