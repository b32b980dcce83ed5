import Database
import Events
import ServiceKit
import ServiceLifecycle

/// What auth does by the clock. A process that is not the writer tries, is refused, and changes nothing.
struct Upkeep {
    let database: Database
    let writer: EventWriter
    let keys: SigningKeys
    let usage: KeyUsage
    let revocations: Revocations
    let audit: AuditPartitions
    /// The age at which signing keys are changed.
    let rotation: Duration?

    var duties: [any Service] {
        // `try?` throughout: the database may be away, or another process the writer; what is left is done the next time.
        [
            PeriodicDuty(every: KeyUsage.interval) { [usage, writer] in try? await usage.write(writer) },
            PeriodicDuty(every: .seconds(15)) { [writer] in
                _ = try? await writer.write { mutation in try await KeyRotation.endGrace(mutation) }
            },
            PeriodicDuty(every: .seconds(5)) { [database, writer] in
                try? await Sessions.forgetSuccessors(database, writer)
            },
            PeriodicDuty(every: .seconds(2)) { [keys, writer, database] in try? await keys.refresh(database, writer) },
            PeriodicDuty(every: .seconds(60)) { [keys, writer, rotation] in
                if let rotation { try? await keys.rotate(olderThan: rotation, writer) }
                try? await keys.forget(writer)
            },
            PeriodicDuty(every: .seconds(3600)) { [audit] in try? await audit.maintain() },
            PeriodicDuty(every: .seconds(600)) { [writer, revocations] in
                try? await revocations.forget()
                _ = try? await writer.write { mutation in
                    try await AccessTokens.forgetExpired(mutation)
                    try await Tickets.forgetExpired(mutation)
                    try await SpentTokens.forgetExpired(mutation)
                    try await Sessions.forgetEnded(mutation)
                    try await AuthorizationCodes.forgetExpired(mutation)
                }
            },
        ]
    }
}
