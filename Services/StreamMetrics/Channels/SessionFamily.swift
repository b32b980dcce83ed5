import Events

/// What a channel's session keeps of one kind of activity: `<name>-latest`, `-recent`, `-session`, `-week`, `-month`, `-total`, `-count`
/// and `-goal`, and where amounts are given the greatest of them (contract astro §5, §11.4).
struct SessionFamily: Sendable, Hashable {
    let name: String
    /// Whether its values are sums of amounts, and not only counts.
    let hasAmounts: Bool

    init(_ kind: ActivityKind) {
        self.name =
            switch kind {
            case .follow, .follower: "follower"
            case .channelPointsRedemption: "channel-points"
            case .hypetrainStart, .hypetrainProgress, .hypetrainEnd: "hypetrain"
            default: kind.rawValue
            }
        self.hasAmounts =
            switch kind {
            case .tip, .superchat, .cheer, .cheerPurchase, .charityCampaignDonation, .merch, .purchase, .stars, .elixir:
                true
            default: false
            }
    }

    /// Those whose amounts are in a currency.
    static let money = [ActivityKind.tip, .superchat, .charityCampaignDonation, .merch, .purchase].map(Self.init)

    func key(_ suffix: String) -> String { "\(self.name)-\(suffix)" }

    /// The keys whose values are sums of amounts, or the greatest of them.
    var amountKeys: [String] {
        SessionSpan.allCases.flatMap { [$0.sum, $0.topDonation, $0.topDonator] }.map(self.key)
    }

    /// Its keys with the values that nothing has changed yet.
    private var empty: [String: JSON] {
        let nobody: JSON = self.hasAmounts ? ["name": "", "amount": 0] : ["name": ""]
        let nothing: JSON = self.hasAmounts ? ["amount": 0, "count": 0] : ["count": 0]
        var values: [String: JSON] = [
            "latest": nobody, "recent": [], "count": ["count": 0], "goal": ["amount": 0],
        ]
        for span in SessionSpan.allCases {
            values[span.sum] = nothing
            if self.hasAmounts {
                values[span.topDonation] = nobody
                values[span.topDonator] = nobody
            }
        }
        for variant in self.variants {
            values["\(variant)-latest"] = ["name": ""]
            values["\(variant)-session"] = ["count": 0]
            values["\(variant)-recent"] = []
        }
        values.merge(self.others) { own, _ in own }
        return Dictionary(uniqueKeysWithValues: values.map { (self.key($0.key), $0.value) })
    }

    private var variants: [String] {
        switch self.name {
        case "subscriber": SessionVariant.allCases.map(\.rawValue)
        case "sponsor": [SessionVariant.gifted.rawValue]
        default: []
        }
    }

    /// What is only ever set by hand, but for the gifter.
    private var others: [String: JSON] {
        switch self.name {
        case "subscriber": ["points": ["amount": 0], "alltime-gifter": ["name": "", "amount": 0]]
        case "merch": ["goal-items": ["amount": 0], "goal-orders": ["amount": 0], "goal-total": ["amount": 0]]
        case "hypetrain":
            [
                "level-goal": ["amount": 0], "level-progress": ["amount": 0, "percent": 0],
                "latest-top-contributors": [],
            ]
        default: [:]
        }
    }

    /// Every key that there can be, with its first value.
    static let empty: [String: JSON] = Set(ActivityKind.allCases.map(Self.init)).reduce(into: [:]) {
        $0.merge($1.empty) { own, _ in own }
    }

    /// What a session shows from the beginning: the keys that overlays read without asking whether they are there.
    static let standard: [String: JSON] = [
        ActivityKind.follow, .subscriber, .sponsor, .tip, .cheer, .superchat, .host, .raid, .charityCampaignDonation,
        .cheerPurchase, .merch, .purchase, .channelPointsRedemption, .hypetrainStart,
    ].map(Self.init).reduce(into: [:]) { $0.merge($1.empty) { own, _ in own } }
}

/// The periods that a session's sums are of.
enum SessionSpan: String, Sendable, CaseIterable {
    case session, week, month, total

    /// The end of the key that has its sum.
    var sum: String { self.rawValue }
    /// The greatest single amount in it.
    var topDonation: String { "\(self.word)-top-donation" }
    /// Who has given most in it.
    var topDonator: String { "\(self.word)-top-donator" }

    private var word: String {
        switch self {
        case .session: "session"
        case .week: "weekly"
        case .month: "monthly"
        case .total: "alltime"
        }
    }
}

/// What a subscription was.
enum SessionVariant: String, Sendable, CaseIterable {
    case new, resub, gifted
}
