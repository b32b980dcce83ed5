import Database
import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import CameraEvents

@Suite struct CommandFailureTests {
    @Test(
        arguments: [
            (APIFailure(.notFound, "m"), .notFound), (APIFailure(.forbidden, "m"), .forbidden),
            (APIFailure(.conflict, "m"), .conflict),
            (APIFailure(.badRequest, "m"), .invalid), (DatabaseError.unavailable("away"), .unavailable),
            (DatabaseError.decoding("column"), .internalError),
        ] as [(any Error, CommandFailure.Code)])
    func `a failure has its code on the bus`(error: any Error, code: CommandFailure.Code) {
        let failure = CommandFailure(error)
        #expect(failure.code == code)
        #expect(!failure.message.contains("away") && !failure.message.contains("column"))
    }
}
