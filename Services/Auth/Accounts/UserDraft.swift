import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What somebody wants a user to be: the body of a POST or a PATCH, as far as it can be judged by itself.
struct UserDraft: Sendable {
    var email: String?
    var name: String?
    var password: String?
    var roles: [Membership]?
    var isOwner: Bool?
    var isDisabled: Bool?

    /// A token names the stations of all of them in its channel, and has to fit where tokens are sent.
    static let rolesMax = 50

    static func new(_ object: [String: JSON]) throws(APIFailure) -> UserDraft {
        let members = Members(object, nullIsAbsent: false)
        try members.requireOnly(["email", "name", "password", "roles", "owner"], "is not known here")
        var draft = try UserDraft(members)
        let email = try members.require("email", draft.email)
        draft.name = draft.name ?? String(email.prefix { $0 != "@" })
        draft.password = try Self.password(members, "password")
        if let password = draft.password { try Password.require(password, email: email) }
        draft.roles = try Self.roles(members)
        return draft
    }

    static func change(_ object: [String: JSON]) throws(APIFailure) -> UserDraft {
        let members = Members(object, nullIsAbsent: false)
        try members.requireOnly(["email", "name", "disabled", "owner"], "is not known here")
        var draft = try UserDraft(members)
        draft.isDisabled = try members.bool("disabled")
        return draft
    }

    private init(_ members: Members) throws(APIFailure) {
        self.email = try members.text("email", "must be an e-mail address", where: EmailAddress.isValid)
        self.name = try members.text("name", 1...200)
        if let name = self.name { _ = try name.requireName(field: "name") }
        self.isOwner = try members.bool("owner")
    }

    /// Whether it is good is asked of `Password`.
    static func password(_ members: Members, _ name: String) throws(APIFailure) -> String? {
        let bound = Password.length.upperBound
        return try members.text(name, "must be a string of at most \(bound) bytes") { $0.utf8.count <= bound }
    }

    /// `nil`: they are not mentioned. Throws 400 for what can be nobody's role.
    static func roles(_ members: Members) throws(APIFailure) -> [Membership]? {
        guard let value = members.object["roles"] else { return nil }
        guard let list = value.array, list.count <= Self.rolesMax else {
            throw members.invalid("roles", "must be a list of at most \(Self.rolesMax) roles")
        }
        var roles: [Membership] = []
        for (index, entry) in list.enumerated() {
            guard let object = entry.object else { throw members.invalid("roles[\(index)]", "must be an object") }
            roles.append(try Self.role(Members(object, at: "roles[\(index)].")))
        }
        guard Set(roles.map { [$0.tenant, $0.station ?? ""] }).count == roles.count else {
            throw members.invalid("roles", "must name a channel or station once")
        }
        return roles
    }

    private static func role(_ members: Members) throws(APIFailure) -> Membership {
        try members.requireOnly(["channel", "station", "role"], "is not known here")
        let rule = "must be 1 to 64 letters, digits, '-' or '_'"
        return Membership(
            tenant: try members.require("channel", try members.text("channel", rule, where: Grant.isName)),
            station: try members.text("station", rule, where: Grant.isName),
            role: try members.require("role", try members.choice("role", of: Role.self)))
    }
}
