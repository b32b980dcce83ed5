import Testing

@testable import OBSBridge

@Suite struct CrashGuardTests {
    @Test func `a connection that was tried alone has one crash more`() {
        #expect(CrashGuard.counted(["one": 0]) == ["one": 1])
        #expect(CrashGuard.counted(["one": 2]) == ["one": 3])
    }

    @Test func `of several on trial none gets beyond one crash`() {
        #expect(CrashGuard.counted(["one": 0, "two": 1, "three": 2]) == ["one": 1, "two": 1, "three": 2])
        #expect(CrashGuard.counted([:]) == [:])
    }
}
