import Testing

@testable import ServiceKit

@Suite struct OpenFileLimitTests {
    @Test(
        arguments: [
            (1024, 1_048_576, 65_536), (1024, 20_000, 20_000), (100_000, 1_048_576, 100_000),
            (1_073_741_816, 1_073_741_816, 1_048_576), (1024, UInt.max, 65_536), (UInt.max, UInt.max, 1_048_576),
        ] as [(UInt, UInt, UInt)])
    func `as many as wanted and allowed, and no more than libwebsockets bears`(current: UInt, allowed: UInt, then: UInt)
    {
        #expect(OpenFileLimit.adjusted(current: current, allowed: allowed) == then)
    }

    @Test func `the process has a limit`() throws { #expect(try #require(OpenFileLimit.current) > 0) }
}
