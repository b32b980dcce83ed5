import Events

/// What one activity adds to its channel's session.
struct SessionContribution: Sendable {
    let family: SessionFamily
    let name: String
    /// What it adds to the sums; `nil`: it only counts.
    let amount: Double?
    let activity: String
    let provider: String
    private let variant: SessionVariant?
    private let counts: Bool
    private let latest: JSON
    private let recent: JSON
    private let gifter: String?

    /// How many a `-recent` list keeps.
    static let recentMax = 25
    /// What a session keeps of an activity, where it has no more than so many bytes.
    private static let kept = [
        "displayName", "providerId", "avatar", "amount", "currency", "message", "tier", "sender", "gifted", "quantity",
        "items", "redemption", "level", "levelChanged", "type",
    ]
    private static let keptBytesMax = 1024

    /// - Parameter sums: whether its amount is in the currency that the channel's sums are in.
    init(_ activity: ChannelActivity, _ kind: ActivityKind, sums: Bool = true) {
        let data = activity.data
        self.family = SessionFamily(kind)
        self.name = data["username"]?.string ?? ""
        self.activity = activity.id
        self.provider = activity.provider
        let amount = data["amount"]?.double
        self.amount = self.family.hasAmounts && sums ? amount ?? 0 : nil
        let isGift = data["gifted"]?.bool == true
        self.variant =
            switch kind {
            case .subscriber: isGift ? .gifted : (amount ?? 1) > 1 ? .resub : .new
            case .sponsor: isGift ? .gifted : nil
            default: nil
            }
        self.gifter = kind == .subscriber && isGift ? data["sender"]?.string.flatMap { $0.isEmpty ? nil : $0 } : nil
        // A train is one, however often it is heard of.
        self.counts = kind != .hypetrainProgress && kind != .hypetrainEnd

        var latest: [String: JSON] = ["name": .string(self.name)]
        for member in Self.kept {
            if let value = data[member], value != .null, value.bytes.count <= Self.keptBytesMax {
                latest[member] = value
            }
        }
        if self.family.name == "hypetrain" { latest["active"] = .bool(kind != .hypetrainEnd) }
        self.latest = .object(latest)
        var recent: [String: JSON] = [
            "name": .string(self.name), "type": .string(self.family.name), "createdAt": .string(activity.createdAt),
        ]
        for member in ["amount", "tier"] { recent[member] = latest[member] }
        self.recent = .object(recent)
    }

    /// Of whom it adds to the sum over all time, and in which family.
    var gift: (family: String, name: String)? { self.gifter.map { (self.family.key("alltime-gifter"), $0) } }

    /// The session's keys that it may change.
    var keys: [String] { self.changes(of: [:], sums: [:], gifts: 0).map(\.key) }

    /// The values that it changes, in the order in which they are said.
    /// - Parameters:
    ///   - values: as they are; what is missing is nothing yet.
    ///   - sums: what its giver has given by now in each period.
    ///   - gifts: how many its gifter has given by now.
    func changes(
        of values: [String: JSON], sums: [SessionSpan: Double], gifts: Double
    ) -> [(key: String, value: JSON)] {
        func value(_ key: String) -> JSON { values[key] ?? SessionFamily.empty[key] ?? .null }
        func longer(_ key: String) -> JSON {
            .array([self.recent] + (value(key).array ?? []).prefix(Self.recentMax - 1))
        }
        var changes: [(key: String, value: JSON)] = []
        func set(_ suffix: String, _ change: (JSON) -> JSON) {
            let key = self.family.key(suffix)
            changes.append((key, change(value(key))))
        }

        set("latest") { _ in self.latest }
        changes.append((self.family.key("recent"), longer(self.family.key("recent"))))
        if let variant = self.variant {
            set("\(variant.rawValue)-latest") { _ in self.latest }
            changes.append(
                (self.family.key("\(variant.rawValue)-recent"), longer(self.family.key("\(variant.rawValue)-recent"))))
            set("\(variant.rawValue)-session") { $0.adding(count: 1, amount: nil) }
        }
        if self.counts {
            for span in SessionSpan.allCases { set(span.sum) { $0.adding(count: 1, amount: self.amount) } }
            set("count") { $0.adding(count: 1, amount: nil) }
        }
        if let amount = self.amount {
            let single: JSON = ["name": .string(self.name), "amount": JSON(amount)]
            for span in SessionSpan.allCases {
                set(span.topDonation) { amount > ($0["amount"]?.double ?? 0) ? single : $0 }
                set(span.topDonator) { top in
                    guard let sum = sums[span], sum > (top["amount"]?.double ?? 0) else { return top }
                    return ["name": .string(self.name), "amount": JSON(sum)]
                }
            }
        }
        if let gifter = self.gifter {
            set("alltime-gifter") { top in
                guard gifts > (top["amount"]?.double ?? 0) else { return top }
                return ["name": .string(gifter), "amount": JSON(gifts)]
            }
        }
        return changes
    }
}

extension JSON {
    /// The value of a sum with so much more in it.
    fileprivate func adding(count: Int64, amount: Double?) -> JSON {
        var members = self.object ?? [:]
        members["count"] = JSON(Self.sum(members["count"]?.double ?? 0, Double(count)))
        if let amount { members["amount"] = JSON(Self.sum(members["amount"]?.double ?? 0, amount)) }
        return .object(members)
    }

    /// Without what binary fractions leave behind the eighth decimal: 0.1 and 0.2 are 0.3. At most 2^53.
    private static func sum(_ one: Double, _ other: Double) -> Double {
        let sum = min(one + other, Double(Self.integers.upperBound))
        let scaled = (sum * 1e8).rounded()
        return abs(scaled) < 0x1p53 ? scaled / 1e8 : sum
    }
}
