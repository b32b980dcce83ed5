import Bus
import Database
import DomainService
import Events
import NIOConcurrencyHelpers
import ServiceKit

/// Whom every service trusts: signing keys, API keys, OAuth2 clients, and who a credential belongs to.
@main
struct Auth {
    static func main() async {
        await ServiceProcess.run("auth") { process in
            let config = try AuthConfig(process.config)
            let usage = KeyUsage()
            let issuers = TrustedIssuers(config.trustedIssuers, logger: process.logger)
            let keys = SigningKeys(issuer: config.issuer, secrets: config.secretsKey, logger: process.logger)
            let service = try DomainService(
                .auth, process,
                migrations: [
                    Migration(
                        name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self)),
                    Migration(
                        name: "0002-stations", sql: String(decoding: PackageResources._002_stations_sql, as: UTF8.self)),
                    Migration(
                        name: "0003-accounts", sql: String(decoding: PackageResources._003_accounts_sql, as: UTF8.self)),
                    Migration(
                        name: "0004-audit", sql: String(decoding: PackageResources._004_audit_sql, as: UTF8.self)),
                    Migration(
                        name: "0005-issuers", sql: String(decoding: PackageResources._005_issuers_sql, as: UTF8.self)),
                ],
                openAPI: PackageResources.openapi_yaml,
                authenticate: { database in
                    Credentials(database: database, keys: keys, usage: usage).verify
                },
                shape: AuthErrorShape.shape)
            let (database, writer) = (service.database, service.writer)
            let credentials = Credentials(database: database, keys: keys, usage: usage)
            let tickets = Tickets(writer: writer, credentials: credentials)
            let revocations = Revocations(database: database, writer: writer)
            let seats = NIOLockedValueBox(Seats())
            let trail = AuditTrail(writer: writer)
            let limits = AttemptLimits()
            let users = Users(
                database: database, writer: writer, trail: trail, passwords: PasswordHasher(), limits: limits)
            let sessions = Sessions(database: database, writer: writer, keys: keys, trail: trail)
            let bootstrap = Bootstrap(
                writer: writer, keys: keys, ownerKey: config.ownerKey, ownerAccount: config.ownerAccount, users: users,
                logger: process.logger)
            service.readiness.require("signing-key") { bootstrap.isDone }
            service.commands.answer(FetchKeys.self) { _ in
                FetchKeys.Answer(issuer: config.issuer, jwks: try await keys.jwks(), others: await issuers.all)
            }
            service.commands.answer(FetchRevocations.self) { try await revocations.page(after: $0.after) }
            service.commands.answer(Introspect.self) {
                try await credentials.introspect($0.token, address: $0.remoteAddress)
            }
            service.commands.answer(RedeemTicket.self) {
                Introspection(principal: try await tickets.redeem($0.ticket, address: $0.remoteAddress))
            }
            service.commands.answer(SpendToken.self) { SpendToken.Answer(isFirst: try await tickets.spend($0)) }
            service.commands.answer(TakeSeat.self) { request in
                TakeSeat.Answer(isTaken: seats.withLockedValue { $0.take(request, at: .now) })
            }
            service.commands.answer(HoldSeats.self) { report in
                seats.withLockedValue { $0.hold(report, at: .now) }
                return HoldSeats.Answer()
            }
            TokensAPI(writer: writer, tokens: AccessTokens(keys: keys)).add(to: service.router)
            TicketsAPI(tickets: tickets).add(to: service.router)
            APIKeysAPI(database: database, writer: writer).add(to: service.router)
            SigningKeysAPI(keys: keys, writer: writer).add(to: service.router)
            OAuth2(
                database: database, writer: writer, trail: trail, limits: limits, credentials: credentials,
                users: users,
                sessions: sessions
            ).add(to: service.router)
            LoginAPI(users: users, sessions: sessions).add(to: service.router)
            let issuerUpkeep = TrustedIssuerUpkeep(issuers: issuers, database: database, writer: writer)
            let upkeep = Upkeep(
                writer: writer, keys: keys, usage: usage, revocations: revocations, rotation: config.signingKeyAge)
            return service.parts(with: [trail, bootstrap, issuerUpkeep] + upkeep.duties)
        }
    }
}
