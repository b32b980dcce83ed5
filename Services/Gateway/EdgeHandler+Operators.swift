import Dialects
import Events
import WebSockets

/// What operators ask.
extension EdgeHandler {
    var description: EdgeDescription {
        EdgeDescription(
            connections: self.clients.values.map { ClientDescription($0) }, closed: self.closed.map(\.description))
    }

    func explain(_ connection: String, _ event: ULID) -> Explanation? {
        guard let entry = self.history[event], let trace = self.trace(of: connection) else { return nil }
        return trace.explain(entry, in: self.dialects[trace.dialect])
    }

    private func trace(of connection: String) -> ClientTrace? {
        if let id = UInt64(connection).map(ConnectionID.init), let client = self.clients[id] {
            return ClientTrace(client, unsent: client.connection.queuedNumbers)
        }
        return self.closed.first { $0.trace.id.description == connection }?.trace
    }

    /// Keeps for a while what is known of a connection that has ended.
    func remember(_ client: Client) {
        let end = ClientDescription.Closed(
            code: client.closing?.code ?? 1005, reason: client.closing?.reason ?? "by the client",
            at: Timestamp.now.iso8601)
        if self.closed.count >= Self.closedMax { self.closed.removeFirst(self.closed.count - Self.closedMax + 1) }
        self.closed.append(
            ClosedClient(
                description: ClientDescription(client, closed: end),
                trace: ClientTrace(
                    client, end: (end, client.closedAt ?? self.history.last), unsent: client.connection.unsentNumbers))
        )
    }
}

/// A connection that has ended.
struct ClosedClient {
    let description: ClientDescription
    let trace: ClientTrace
}
