public import Events
public import HTTPTypes
public import Hummingbird
public import NIOCore
public import Peers
public import ServiceKit

/// One request to a service's API: who sent it, and from where.
public struct APIContext: RequestContext, RemoteAddressRequestContext {
    public var coreContext: CoreRequestContextStorage
    public let remoteAddress: SocketAddress?
    let channel: any Channel
    /// Set when the request carries a valid credential, or when the anonymous principal stands in.
    public var principal: Principal?
    /// Who is at the connection's other end, or for whom our own HAProxy carries it.
    public let peer: Peer
    /// Whether the request shows no credential and comes from this machine by all evidence (`LocalClientPolicy`).
    public internal(set) var isLocal = false
    /// Whether the request is of HTTP/1.1 at least.
    let isHTTP11: Bool
    /// The client's address: the peer's, or what a trusted proxy says. Nobody is local by it.
    public var clientAddress = ""

    public init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.remoteAddress = source.channel.remoteAddress
        self.channel = source.channel
        let facts = ConnectionFacts.current
        self.peer = Peer(connection: source.channel.remoteAddress?.ipAddress ?? "", carried: facts?.carried)
        self.isHTTP11 = facts?.isHTTP11 ?? true
    }

    /// Bytes in a request body.
    public var maxUploadSize: Int { 1 << 20 }

    /// The principal, if it has the scope in the room. Throws 401 without a credential, 403 without the scope or beyond the
    /// credential's limits.
    @discardableResult
    public func require(_ scope: Scope, on room: Room) throws(APIFailure) -> Principal {
        let principal = try self.requirePrincipal()
        guard principal.permits(scope, on: room) else { throw APIFailure(lacking: scope, principal) }
        return principal
    }

    /// The same for what shows others: a client on this machine without a credential has the scope, but it may be any program there.
    /// Throws 401 for the anonymous principal, too.
    @discardableResult
    public func requireCredential(_ scope: Scope, on room: Room) throws(APIFailure) -> Principal {
        guard self.principal?.credential != .anonymous else { throw Self.unauthorized }
        return try self.require(scope, on: room)
    }

    /// The principal, if it has the scope in any room: for what then lists or asks for each room by itself.
    public func requireSomewhere(_ scope: Scope) throws(APIFailure) -> Principal {
        let principal = try self.requirePrincipal()
        guard principal.permitsSomewhere(scope) else { throw APIFailure(lacking: scope, principal) }
        return principal
    }

    /// Any principal. Throws 401 without a credential.
    public func requirePrincipal() throws(APIFailure) -> Principal {
        guard let principal = self.principal else { throw Self.unauthorized }
        return principal
    }

    private static var unauthorized: APIFailure {
        APIFailure(.unauthorized, "Unauthorized", headers: [.wwwAuthenticate: "Bearer"])
    }
}

extension APIFailure {
    /// What a principal is told that may not do what a scope stands for.
    public init(lacking scope: Scope, _ principal: Principal) {
        // One that has the scope lacks the room.
        let isLimited = principal.limits != nil && principal.scopes.contains(scope)
        self.init(
            .forbidden, isLimited ? "The credential is limited to other rooms" : "The scope \(scope) is needed",
            details: ["scope": scope.name],
            headers: [.wwwAuthenticate: "Bearer error=\"insufficient_scope\", scope=\"\(scope)\""])
    }
}

extension Request {
    /// Reads a JSON body of that type. Throws 415 for another content type, 400 for anything that does not decode.
    public func decodeJSON<Body: Decodable>(_ type: Body.Type, _ context: APIContext) async throws -> Body {
        let bytes = try await self.bodyBytes(context)
        guard JSON(parsing: bytes, duplicates: .refused) != .none else {
            throw APIFailure(.badRequest, code: "invalid_json", "The body is not JSON, or has a member twice")
        }
        do {
            return try JSON.decode(type, from: bytes)
        } catch let error as DecodingError {
            throw APIFailure(.badRequest, code: "invalid_json", error.shortDescription)
        }
    }

    /// Reads a JSON object, for partial updates and bodies that are passed on.
    public func decodeObject(_ context: APIContext) async throws -> [String: JSON] {
        guard let object = JSON(parsing: try await self.bodyBytes(context), duplicates: .refused)?.object else {
            throw APIFailure(
                .badRequest, code: "invalid_json", "The body must be a JSON object that has no member twice")
        }
        return object
    }

    /// Reads a JSON object, or an empty one where there is no body.
    public func decodeOptionalObject(_ context: APIContext) async throws -> [String: JSON] {
        if self.headers[.contentLength] == "0" { return [:] }
        if self.headers[.contentLength] == nil, self.headers[.transferEncoding] == nil { return [:] }
        return try await self.decodeObject(context)
    }

    private func bodyBytes(_ context: APIContext) async throws -> [UInt8] {
        if let type = self.headers[.contentType], !type.lowercased().hasPrefix("application/json") {
            throw APIFailure(.unsupportedMediaType, "The body must be application/json")
        }
        do {
            return Array(try await self.body.collect(upTo: context.maxUploadSize).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw APIFailure(.contentTooLarge, "The body is too large")
        }
    }
}

extension DecodingError {
    /// What is wrong and where, fit for a client.
    public var shortDescription: String {
        switch self {
        case .keyNotFound(let key, _): "\(key.stringValue) is required"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            context.codingPath.isEmpty
                ? "The body has the wrong type"
                : "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "The body is not JSON"
                : "\(context.codingPath.map(\.stringValue).joined(separator: ".")) is not valid"
        @unknown default: "The body does not decode"
        }
    }
}

extension Response {
    /// A JSON body.
    public static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        .json(bytes: JSON.encode(value), status: status)
    }

    /// A JSON body that is encoded already.
    public static func json(bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
