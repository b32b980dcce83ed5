import Access
import Database
import Hummingbird

/// The authorization server (RFC 6749): everything under `/oauth2` and `/.well-known`, and the clients' registration.
struct OAuth2 {
    let database: Database
    let writer: EventWriter
    let trail: AuditTrail
    let limits: AttemptLimits
    let usage: KeyUsage
    let keys: SigningKeys
    let credentials: Credentials
    let users: Users
    let sessions: Sessions

    func add(to router: Router<APIContext>) {
        let clients = OAuth2Clients(
            database: self.database, trail: self.trail, limits: self.limits, usage: self.usage)
        let browsers = BrowserSessions(
            database: self.database, writer: self.writer, users: self.users,
            cookies: BrowserCookies(issuer: self.keys.issuer))
        ClientsAPI(database: self.database, writer: self.writer).add(to: router)
        TokenEndpoint(
            database: self.database, writer: self.writer, tokens: AccessTokens(keys: self.keys), clients: clients,
            users: self.users, sessions: self.sessions
        ).add(to: router)
        IntrospectionEndpoint(
            database: self.database, clients: clients, credentials: self.credentials, issuer: self.keys.issuer
        ).add(to: router)
        RevocationEndpoint(
            database: self.database, writer: self.writer, clients: clients, sessions: self.sessions,
            credentials: self.credentials
        ).add(to: router)
        ServerMetadata(issuer: self.keys.issuer, keys: self.keys).add(to: router)
        AuthorizeEndpoint(writer: self.writer, clients: clients, browsers: browsers, issuer: self.keys.issuer)
            .add(to: router)
        LoginEndpoint(users: self.users, browsers: browsers, issuer: self.keys.issuer).add(to: router)
    }
}
