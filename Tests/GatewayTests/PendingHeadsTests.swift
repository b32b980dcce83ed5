import Configuration
import ServiceKit
import Testing

@testable import Gateway

@Suite struct PendingHeadsTests {
    private static func heads(max: Int, proxies: [String] = []) throws -> PendingHeads {
        let values: [AbsoluteConfigKey: ConfigValue] = [
            "http.trustedProxies": ConfigValue(.stringArray(proxies), isSecret: false)
        ]
        let config = ConfigReader(provider: InMemoryProvider(values: values))
        return PendingHeads(max: max, proxies: try TrustedProxies(config))
    }

    /// Lets connections from these addresses wait at the same time, and says which of them may.
    private static func wait(
        _ heads: PendingHeads, _ addresses: some Collection<String>, then body: () -> Void = {}
    ) -> [Bool] {
        guard let address = addresses.first else {
            body()
            return []
        }
        var place = PendingHeads.Place(among: heads)
        let mayWait = place.wait(as: address)
        let others = Self.wait(heads, Array(addresses.dropFirst()), then: body)
        withExtendedLifetime(place) {}
        return [mayWait] + others
    }

    @Test func `so many may wait in all, and an eighth of them of one network`() throws {
        let heads = try Self.heads(max: 16)
        let four = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]
        let answers = Self.wait(heads, four) { #expect(heads.count == 3) }
        #expect(answers == [true, true, false, true])
        // Any address of a /64 is the same network's.
        let six = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8::2", "2001:db8:0:1::1"]
        #expect(Self.wait(heads, six) == [true, true, false, true])
        let many = (0..<20).map { "192.0.2.\($0)" }
        #expect(Self.wait(heads, many) == Array(repeating: true, count: 16) + Array(repeating: false, count: 4))
        #expect(heads.count == 0)
    }

    @Test func `one that turns out to be another's waits once, as that`() throws {
        let heads = try Self.heads(max: 8)
        var place = PendingHeads.Place(among: heads)
        let answers = [
            place.wait(as: "192.0.2.1"), place.wait(as: "192.0.2.1"), place.wait(as: "198.51.100.7"),
        ]
        #expect(answers == [true, true, true])
        #expect(heads.count == 1)
        #expect(Self.wait(heads, ["192.0.2.1", "198.51.100.7"]) == [true, false])
        withExtendedLifetime(place) {}
    }

    @Test(arguments: ["127.0.0.1", "10.0.0.7"]) func `of this machine and of own proxies all may wait`(
        address: String
    ) throws {
        let heads = try Self.heads(max: 16, proxies: ["10.0.0.0/24"])
        #expect(Self.wait(heads, Array(repeating: address, count: 20)).count { $0 } == 16)
    }
}
