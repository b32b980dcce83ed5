import Events

extension Suite {
    /// The `data` of the events in a service's log, in order.
    func events(_ service: ServiceName, _ type: EventType, room: String, token: String) async throws -> [JSON] {
        try await self.events(service, "type=\(type)&room=\(room)", token: token).compactMap { $0["data"] }
    }

    /// The first page of a service's log.
    func events(_ service: ServiceName, _ query: String = "", token: String? = nil) async throws -> [JSON] {
        try await self.page(service, query, token: token).events
    }

    func page(
        _ service: ServiceName, _ query: String = "", token: String? = nil
    ) async throws -> (events: [JSON], next: Int64?) {
        let answer = try await self.request("GET", service, "/v1/events?\(query)", token: token)
        guard answer.status == 200, let events = answer["events"]?.array else {
            throw Failure(description: "no events: \(answer.status) \(answer.body)")
        }
        switch answer["next"] {
        case .integer(let next): return (events, next)
        case .null: return (events, nil)
        case let other: throw Failure(description: "next is \(String(describing: other))")
        }
    }
}

extension JSON {
    /// An entry's `seq`.
    var seq: Int64? {
        guard case .integer(let seq) = self["seq"] else { return nil }
        return seq
    }
}
