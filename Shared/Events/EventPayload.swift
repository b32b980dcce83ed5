/// What one type of event says. Adding a field is fine; changing a meaning is a new type.
public protocol EventPayload: Codable, Sendable {
    static var type: EventType { get }
}

extension Event {
    /// A new event of this moment, its payload encoded.
    public init(
        _ payload: some EventPayload, tenant: String, room: String = "", publisher: ServiceName, time: Timestamp = .now
    ) {
        self.init(
            id: ULID(at: time), type: Swift.type(of: payload).type, tenant: tenant, room: room, publisher: publisher,
            time: time,
            data: JSON.encode(payload))
    }

    /// The same of a type whose payload has no Swift type: what it is depends on who says it.
    /// - Parameter data: an object.
    public init(
        _ type: EventType, _ data: JSON, tenant: String, room: String = "", publisher: ServiceName,
        time: Timestamp = .now
    ) {
        self.init(
            id: ULID(at: time), type: type, tenant: tenant, room: room, publisher: publisher, time: time,
            data: data.bytes)
    }

    /// Decodes the payload; throws `DecodingError`.
    public func payload<Payload: EventPayload>(as type: Payload.Type) throws -> Payload {
        try JSON.decode(type, from: self.data)
    }
}
