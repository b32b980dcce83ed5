import Access
import Bus
import Database
import Events
import Hummingbird
import Logging
import NIOConcurrencyHelpers

/// What auth is made of, in order of dependency, and what of it answers to whom.
struct AuthParts {
    let database: Database
    let writer: EventWriter
    let keys: SigningKeys
    let issuers: TrustedIssuers
    let issuerUpkeep: TrustedIssuerUpkeep
    private let verificationKeys: VerificationKeys
    let usage = KeyUsage()
    let trail: AuditTrail
    let limits = AttemptLimits()
    let credentials: Credentials
    let tickets: Tickets
    let revocations: Revocations
    let users: Users
    let sessions: Sessions
    let bootstrap: Bootstrap
    let upkeep: Upkeep
    private let seats = NIOLockedValueBox(Seats())

    init(_ config: AuthConfig, _ database: Database, _ writer: EventWriter, _ logger: Logger) {
        self.database = database
        self.writer = writer
        self.keys = SigningKeys(issuer: config.issuer, secrets: config.secretsKey, logger: logger)
        self.trail = AuditTrail(writer: writer)
        self.issuers = TrustedIssuers(config.trustedIssuers, logger: logger)
        self.issuerUpkeep = TrustedIssuerUpkeep(issuers: self.issuers, database: database, writer: writer)
        self.verificationKeys = VerificationKeys(self.keys, self.issuers)
        self.credentials = Credentials(
            database: database, keys: self.verificationKeys, usage: self.usage, trail: self.trail, limits: self.limits)
        self.tickets = Tickets(writer: writer, credentials: self.credentials)
        self.revocations = Revocations(database: database, writer: writer)
        self.users = Users(
            database: database, writer: writer, trail: self.trail, passwords: PasswordHasher(cost: config.passwordCost),
            limits: self.limits)
        self.sessions = Sessions(
            database: database, writer: writer, keys: self.keys, trail: self.trail, limits: self.limits,
            successors: SuccessorSeal(secrets: config.secretsKey))
        self.bootstrap = Bootstrap(
            writer: writer, keys: self.keys, ownerKey: config.ownerKey, ownerAccount: config.ownerAccount,
            users: self.users, logger: logger)
        self.upkeep = Upkeep(
            database: database, writer: writer, keys: self.keys, usage: self.usage, revocations: self.revocations,
            audit: AuditPartitions(writer: writer, retention: config.auditRetention), rotation: config.signingKeyAge)
    }

    func addRoutes(_ router: Router<APIContext>) {
        // Covers what is added after it.
        router.middlewares.add(RefusalNotes(trail: self.trail))
        TokensAPI(database: self.database, writer: self.writer, tokens: AccessTokens(keys: self.keys)).add(to: router)
        TicketsAPI(tickets: self.tickets).add(to: router)
        APIKeysAPI(database: self.database, writer: self.writer).add(to: router)
        SubjectsAPI(writer: self.writer).add(to: router)
        SigningKeysAPI(keys: self.keys, writer: self.writer).add(to: router)
        OAuth2(
            database: self.database, writer: self.writer, trail: self.trail, limits: self.limits, usage: self.usage,
            keys: self.keys, credentials: self.credentials, users: self.users, sessions: self.sessions
        ).add(to: router)
        LoginAPI(users: self.users, sessions: self.sessions).add(to: router)
        UsersAPI(users: self.users).add(to: router)
        ChannelsAPI(database: self.database, writer: self.writer).add(to: router)
        AuditAPI(database: self.database).add(to: router)
    }

    func answerCommands(_ server: CommandServer) {
        let (keys, credentials, tickets) = (self.verificationKeys, self.credentials, self.tickets)
        let (revocations, seats) = (self.revocations, self.seats)
        server.answer(FetchKeys.self) { try await keys.answer(missing: $0.missing) }
        server.answer(FetchRevocations.self) { try await revocations.page(after: $0.after) }
        server.answer(Introspect.self) { try await credentials.introspect($0.token, address: $0.remoteAddress) }
        server.answer(RedeemTicket.self) { try await tickets.redeem($0.ticket, address: $0.remoteAddress) }
        let channels = ChannelsAPI(database: self.database, writer: self.writer)
        server.answer(FindChannel.self) { FindChannel.Answer(name: try await channels.name(of: $0.id)) }
        let spentTokens = SpentTokens(writer: self.writer)
        server.answer(SpendToken.self) { try await spentTokens.spend($0) }
        server.answer(KeepToken.self) { command in
            try await spentTokens.keep(command)
            return KeepToken.Answer()
        }
        server.answer(TakeSeat.self) { request in
            TakeSeat.Answer(isTaken: seats.withLockedValue { $0.take(request, at: .now) })
        }
        server.answer(HoldSeats.self) { report in
            seats.withLockedValue { $0.hold(report, at: .now) }
            return HoldSeats.Answer()
        }
        server.answer(ReportRefusals.self) { [trail = self.trail] report, asker in
            try report.process.checkRole(asker)
            trail.note(report)
            return ReportRefusals.Answer()
        }
    }
}
