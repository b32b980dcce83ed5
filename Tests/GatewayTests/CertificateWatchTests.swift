import Testing

@testable import Gateway

@Suite struct CertificateWatchTests {
    /// What looks at files that are, one after the other, as told.
    private static func looks(_ watch: inout CertificateWatch<Int>, _ stamps: Int?...) -> [Bool] {
        stamps.map { watch.looked($0) }
    }

    private static func tells(_ watch: inout CertificateWatch<Int>, _ problems: String...) -> [Bool] {
        problems.map { watch.failed($0) }
    }

    @Test func `files that stay as they are, are not read again`() {
        var watch = CertificateWatch(using: 1)
        #expect(Self.looks(&watch, 1, 1, 1) == [false, false, false])
    }

    @Test func `changed files are read when a second look finds the same`() {
        var watch = CertificateWatch(using: 1)
        #expect(Self.looks(&watch, 2, 3, 3) == [false, false, true])
        watch.loaded(3)
        #expect(Self.looks(&watch, 3, 3) == [false, false])
    }

    @Test func `files that cannot be used are tried at every look, and each problem is told once`() {
        var watch = CertificateWatch(using: 1)
        #expect(Self.looks(&watch, 2, 2) == [false, true])
        #expect(Self.tells(&watch, "no key", "no key") == [true, false])
        #expect(Self.looks(&watch, 2, 2) == [true, true])
        #expect(Self.tells(&watch, "wrong key", "wrong key", "no key") == [true, false, true])
        watch.loaded(2)
        #expect(Self.looks(&watch, 2) == [false])
        #expect(Self.tells(&watch, "no key") == [true])
    }

    @Test func `a file that is missing is a change like any other`() {
        var watch = CertificateWatch(using: 1)
        #expect(Self.looks(&watch, nil, nil) == [false, true])
    }

    @Test func `the files in use are read again when they come back after a problem`() {
        var watch = CertificateWatch(using: 1)
        #expect(Self.looks(&watch, nil, nil) == [false, true])
        #expect(Self.tells(&watch, "not there") == [true])
        #expect(Self.looks(&watch, 1, 1) == [false, true])
        watch.loaded(1)
        #expect(Self.looks(&watch, 1) == [false])
    }
}
