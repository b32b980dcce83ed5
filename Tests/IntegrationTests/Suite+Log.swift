import Events

extension Suite {
    /// The `data` of the events in a service's log, in order.
    func events(_ service: ServiceName, _ type: EventType, room: String, token: String) async throws -> [JSON] {
        let answer = try await self.request("GET", service, "/v1/events?type=\(type)&room=\(room)", token: token)
        guard answer.status == 200, let events = answer["events"]?.array else {
            throw Failure(description: "no events: \(answer.status) \(answer.body)")
        }
        return events.compactMap { $0["data"] }
    }
}
