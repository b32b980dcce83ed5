import Bus
import Database
import Events

extension EventLog {
    /// The page that a subscriber asks for. An asker with another epoch gets this log from its beginning.
    func page(for request: ReplayRequest) async throws(DatabaseError) -> ReplayPage {
        guard let head = try await self.head() else { throw .unavailable("the log has not begun") }
        let isSameLog = request.epoch == nil || request.epoch == head.epoch
        let after = isSameLog ? request.after ?? 0 : 0
        let limit = min(max(1, request.limit), Self.pageMax)
        let events = try await self.events(after: after, since: request.since, limit: limit)
        let oldest = try await self.oldestSeq() ?? head.seq + 1
        return ReplayPage(epoch: head.epoch, oldest: oldest, head: head.seq, events: events)
    }
}
