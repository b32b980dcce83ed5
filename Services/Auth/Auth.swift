import Bus
import Database
import DomainService
import Events
import ServiceKit

/// Whom every service trusts: signing keys, API keys, OAuth2 clients, and who a credential belongs to.
@main
struct Auth {
    static func main() async {
        await ServiceProcess.run("auth") { process in
            let config = try AuthConfig(process.config)
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
                ],
                openAPI: PackageResources.openapi_yaml,
                authenticate: { database in Credentials(database: database, keys: keys).verify },
                shape: AuthErrorShape.shape)
            let credentials = Credentials(database: service.database, keys: keys)
            let bootstrap = Bootstrap(
                writer: service.writer, keys: keys, ownerKey: config.ownerKey, logger: process.logger)
            service.readiness.require("signing-key") { bootstrap.isDone }
            service.commands.answer(FetchKeys.self) { _ in
                FetchKeys.Answer(issuer: config.issuer, jwks: try await keys.jwks())
            }
            service.commands.answer(Introspect.self) { command in
                Introspection(principal: try await credentials.introspect(command.token))
            }
            TokensAPI(writer: service.writer, keys: keys).add(to: service.router)
            APIKeysAPI(database: service.database, writer: service.writer).add(to: service.router)
            OAuth2API(database: service.database, writer: service.writer, keys: keys).add(to: service.router)
            let sweep = PeriodicDuty(every: .seconds(3600)) { [writer = service.writer] in
                // `try?`: what is left goes the next time.
                _ = try? await AccessToken.forgetExpired(writer)
            }
            return service.parts(with: [bootstrap, sweep])
        }
    }
}
