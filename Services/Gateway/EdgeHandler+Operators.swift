import Dialects
import Events
import WebSockets

/// What operators ask.
extension EdgeHandler {
    /// Filters before anything is described: a question costs what it shows.
    func list(_ question: ConnectionsQuestion) -> [ConnectionID] {
        let shown = self.clients.values.lazy.filter { client in
            if let after = question.after, client.id.raw <= after.raw { return false }
            return client.isShown(to: question.tenant)
        }
        // One more tells that there is a next page.
        return Array(shown.map(\.id).sorted { $0.raw < $1.raw }.prefix(question.limit + 1))
    }

    /// Filters again: another tenant's credential may have come since they were listed.
    func describe(_ ids: [ConnectionID], _ tenant: String?) -> [ClientDescription] {
        ids.compactMap { self.clients[$0] }.filter { $0.isShown(to: tenant) }.map { ClientDescription($0) }
    }

    func describeClosed(_ question: ConnectionsQuestion) -> [ClientDescription] {
        self.closed.lazy.map(\.description).filter { description in
            question.tenant.map { description.tenants == [$0] } ?? true
        }
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

extension Client {
    /// Returns whether operators of that tenant may see it; `nil`: of all.
    fileprivate func isShown(to tenant: String?) -> Bool { tenant.map(self.verified.areAll(of:)) ?? true }
}

/// A connection that has ended.
struct ClosedClient {
    let description: ClientDescription
    let trace: ClientTrace
}
