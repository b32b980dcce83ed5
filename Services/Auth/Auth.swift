import Bus
import Database
import DomainService
import Events
import ServiceKit
import ServiceLifecycle

/// Whom every service trusts: users and their sign-ins, API keys, OAuth2 clients, signing keys, and whom a credential belongs to.
@main
struct Auth {
    static func main() async {
        await ServiceProcess.run("auth") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try AuthConfig(process.config)
        var made: AuthParts?
        let service = try DomainService(
            .auth, process, migrations: Self.migrations, openAPI: PackageResources.openapi_yaml,
            authenticate: { database, writer in
                let parts = AuthParts(config, database, writer, process.logger)
                made = parts
                return parts.credentials.verify
            },
            shape: AuthErrorShape.shape)
        guard let parts = made else { preconditionFailure("a service asks how credentials are judged") }
        service.readiness.require("signing-key") { parts.bootstrap.isDone }
        parts.answerCommands(service.commands)
        parts.addRoutes(service.router)
        return (
            service, { service.parts(with: [parts.trail, parts.bootstrap, parts.issuerUpkeep] + parts.upkeep.duties) }
        )
    }

    private static let migrations = [
        Migration(name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self)),
        Migration(name: "0002-stations", sql: String(decoding: PackageResources._002_stations_sql, as: UTF8.self)),
        Migration(name: "0003-accounts", sql: String(decoding: PackageResources._003_accounts_sql, as: UTF8.self)),
        Migration(name: "0004-audit", sql: String(decoding: PackageResources._004_audit_sql, as: UTF8.self)),
        Migration(name: "0005-issuers", sql: String(decoding: PackageResources._005_issuers_sql, as: UTF8.self)),
        Migration(
            name: "0006-kept-tokens", sql: String(decoding: PackageResources._006_kept_tokens_sql, as: UTF8.self)),
        Migration(name: "0008-authority", sql: String(decoding: PackageResources._008_authority_sql, as: UTF8.self)),
        Migration(name: "0009-rooms", sql: String(decoding: PackageResources._009_rooms_sql, as: UTF8.self)),
        Migration(name: "0010-lineage", sql: String(decoding: PackageResources._010_lineage_sql, as: UTF8.self)),
    ]
}
