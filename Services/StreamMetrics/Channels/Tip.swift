import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A tip that somebody has paid (contract astro §5, `channel.tips`).
struct Tip: Sendable {
    /// What a moderator decided, or has yet to.
    enum Approval: String, Sendable, CaseIterable {
        case pending, allowed, rejected
    }

    enum Decision: String, Sendable, CaseIterable {
        case allowed, rejected

        var approval: Approval { self == .allowed ? .allowed : .rejected }
    }

    let id: String
    let channel: String
    let draft: TipDraft
    var approved: Approval
    var approvedBy: String?
    let createdAt: Timestamp
    var updatedAt: Timestamp

    init(_ draft: TipDraft, in channel: Channel, at moment: Timestamp) {
        self.id = HexID.new(at: moment)
        self.channel = channel.id
        self.draft = draft
        self.approved = channel.moderatesTips ? .pending : .allowed
        self.createdAt = moment
        self.updatedAt = moment
    }

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.channel = try row.decode("tenant")
        self.draft = try TipDraft(row)
        let approved: String = try row.decode("approved")
        guard let approved = Approval(rawValue: approved) else { throw .decoding("approved is \(approved)") }
        self.approved = approved
        self.approvedBy = try row.decode("approved_by")
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
    }

    var json: JSON {
        let draft = self.draft
        let user: [String: JSON?] = [
            "username": .string(draft.username), "geo": draft.geo.map(JSON.string),
            "email": draft.email.map(JSON.string), "channel": .string(self.channel),
        ]
        let donation: [String: JSON?] = [
            "user": .object(user.compactMapValues(\.self)), "message": .string(draft.message),
            "amount": JSON(draft.amount), "currency": .string(draft.currency),
            "paymentMethod": draft.paymentMethod.map(JSON.string),
        ]
        let members: [String: JSON?] = [
            "_id": .string(self.id), "channel": .string(self.channel), "provider": .string(draft.provider),
            "donation": .object(donation.compactMapValues(\.self)), "approved": .string(self.approved.rawValue),
            "approvedBy": self.approvedBy.map(JSON.string),
            // There is no tip before it is paid.
            "status": "success", "imported": .bool(draft.isImported),
            "transactionId": draft.transactionID.map(JSON.string),
            "createdAt": .string(self.createdAt.iso8601), "updatedAt": .string(self.updatedAt.iso8601),
        ]
        return .object(members.compactMapValues(\.self))
    }

    /// The activity that it is once it is allowed.
    var activity: ActivityDraft {
        let draft = self.draft
        return ActivityDraft(
            .tip, by: .streamElements,
            [
                "tipId": .string(self.id), "username": .string(draft.username), "displayName": .string(draft.username),
                "amount": JSON(draft.amount), "currency": .string(draft.currency), "message": .string(draft.message),
            ])
    }
}

/// What a client reports of a tip.
struct TipDraft: Sendable, Hashable {
    let username: String
    let email: String?
    let geo: String?
    let message: String
    /// Of `currency`, more than 0.
    let amount: Double
    /// In capital letters.
    let currency: String
    let paymentMethod: String?
    let provider: String
    /// The provider's own; it makes a tip that is reported again the same one.
    let transactionID: String?
    /// Whether another service has had it before.
    let isImported: Bool

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        let user = try members.require("user", try members.members("user"))
        self.username = try user.require("username", try user.text("username", 1...200))
        self.email = try user.text("email", 0...320)
        self.geo = try user.text("geo", 0...16)
        self.message = try members.text("message", 0...1000) ?? ""
        let amount = try members.require("amount", try members.number("amount", 0...ActivityDraft.amountMax))
        guard amount > 0 else { throw members.invalid("amount", "must be more than 0") }
        self.amount = amount
        self.currency = try members.require("currency", try Self.currency(members))
        self.paymentMethod = try members.text("paymentMethod", 0...64)
        self.provider = try members.text("provider", 1...64) ?? ActivityProvider.streamElements.rawValue
        self.transactionID = try members.text("transactionId", 1...200)
        // Clients send both forms.
        self.isImported = body["imported"]?.string == "true" ? true : try members.bool("imported") ?? false
    }

    init(_ row: Row) throws(DatabaseError) {
        self.username = try row.decode("username")
        self.email = try row.decode("email")
        self.geo = try row.decode("geo")
        self.message = try row.decode("message")
        self.amount = try row.decode("amount")
        self.currency = try row.decode("currency")
        self.paymentMethod = try row.decode("payment_method")
        self.provider = try row.decode("provider")
        self.transactionID = try row.decode("transaction_id")
        self.isImported = try row.decode("imported")
    }

    /// A currency's code, ISO 4217 or of a coin, in capital letters.
    static func currency(_ members: Members) throws(APIFailure) -> String? {
        try members.text("currency", "must be a code of three to eight letters") { text in
            (3...8).contains(text.utf8.count) && text.utf8.allSatisfy { (65...90).contains($0 & 0xDF) }
        }?.uppercased()
    }
}

/// How a channel takes tips.
struct TipSettings: Sendable {
    /// Whether a moderator allows each before it is shown.
    let moderation: Bool?
    let currency: String?

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireOnly(["moderation", "currency"], "is not known here")
        self.moderation = try members.bool("moderation")
        self.currency = try TipDraft.currency(members)
    }

    static func json(_ channel: Channel) -> JSON {
        ["moderation": .bool(channel.moderatesTips), "currency": JSON(channel.currency)]
    }
}
