import Dialects
import Testing

@testable import Gateway

@Suite struct CensusTests {
    private var profile: DialectProfile {
        DialectProfile(
            name: .wave, paths: [], listener: 0, messageBytesMax: 1, messageRate: nil,
            pingInterval: .seconds(1),
            silenceMax: .seconds(1), silenceClose: nil, connectionsMax: 2, attemptRate: .rolling(3, per: .seconds(60)))
    }

    @Test func `a dialect's connections are limited, and a place that was left is free again`() {
        let census = Census()
        #expect(census.enter(self.profile))
        #expect(census.enter(self.profile))
        #expect(!census.enter(self.profile))
        #expect(census.total == 2)
        census.leave(.wave)
        #expect(census.total == 1)
        #expect(census.enter(self.profile))
    }

    @Test func `a dialect without a limit takes everybody, and does not count for the others`() {
        let census = Census()
        var open = self.profile
        open.name = .astro
        open.connectionsMax = nil
        for _ in 0..<100 { #expect(census.enter(open)) }
        #expect(census.enter(self.profile))
        #expect(census.total == 101)
    }

    @Test func `leaving more often than entering does not make room for more`() {
        let census = Census()
        census.leave(.wave)
        #expect(census.total == 0)
        #expect(census.enter(self.profile))
        #expect(census.enter(self.profile))
        #expect(!census.enter(self.profile))
    }

    @Test func `attempts are limited per address and dialect`() {
        let census = Census()
        for _ in 0..<3 { #expect(census.attempt(self.profile, from: "192.0.2.1")) }
        #expect(!census.attempt(self.profile, from: "192.0.2.1"))
        #expect(census.attempt(self.profile, from: "192.0.2.2"))
        var other = self.profile
        other.name = .astro
        #expect(census.attempt(other, from: "192.0.2.1"))
        other.attemptRate = nil
        for _ in 0..<50 { #expect(census.attempt(other, from: "192.0.2.1")) }
    }

    @Test func `an IPv6 client is counted by its network, whatever address it takes`() {
        let census = Census()
        for host in 1...3 { #expect(census.attempt(self.profile, from: "2001:db8:0:1::\(host)")) }
        #expect(!census.attempt(self.profile, from: "2001:db8:0:1:ffff::4"))
        #expect(census.attempt(self.profile, from: "2001:db8:0:2::1"))
    }

    @Test func `draining is remembered`() {
        let census = Census()
        #expect(!census.isDraining)
        census.beginDraining()
        #expect(census.isDraining)
    }
}
