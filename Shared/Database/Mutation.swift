public import Events
internal import NIOConcurrencyHelpers

/// One change by the event writer: its statements, and the events that tell of it. Both happen, or neither.
public final class Mutation: Sendable {
    private let transaction: Transaction
    private let emitted = NIOLockedValueBox<[Event]>([])

    init(_ connection: Connection) { self.transaction = Transaction(connection) }

    public func query(_ query: Query) async throws(DatabaseError) -> [Row] { try await self.transaction.query(query) }

    /// Adds a durable event; it gets its position, and is published, once the change is committed.
    public func emit(_ event: Event) { self.emitted.withLockedValue { $0.append(event) } }

    func end() { self.transaction.end() }

    /// The events, if Postgres can store them: one that it could not would take the whole batch with it.
    func events() throws(DatabaseError) -> [Event] {
        let events = self.emitted.withLockedValue { $0 }
        for event in events {
            let texts = [Array(event.type.name.utf8), Array(event.tenant.utf8), Array(event.room.utf8), event.data]
            guard texts.allSatisfy({ !$0.contains(0) }), String(validating: event.data, as: UTF8.self) != nil else {
                throw .query(sqlState: "22021", message: "event \(event.type) is not text")
            }
        }
        return events
    }
}
