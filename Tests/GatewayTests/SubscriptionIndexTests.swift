import Events
import Testing

@testable import Gateway

private final class Listener: Identifiable {
    let id: Int
    init(_ id: Int) { self.id = id }
}

@Suite struct SubscriptionIndexTests {
    private let grant = Grant(.anonymous)

    private func key(_ name: String, dialect: Int = 0, tenant: String = "t") -> FilterKey {
        FilterKey(dialect: dialect, tenant: tenant, key: name)
    }

    @Test func `keys of other dialects and tenants are other keys`() {
        var index = SubscriptionIndex<Listener>()
        index.insert(Listener(1), under: self.key("a"), grant: self.grant)
        #expect(index[self.key("a")]?.entries.count == 1)
        #expect(index[self.key("a", dialect: 1)] == nil)
        #expect(index[self.key("a", tenant: "u")] == nil)
        #expect(index[self.key("b")] == nil)
    }

    @Test func `a listener that is there already takes the new grant`() {
        var index = SubscriptionIndex<Listener>()
        let listener = Listener(1)
        let other = Grant(.anonymous)
        index.insert(listener, under: self.key("a"), grant: self.grant)
        index.insert(listener, under: self.key("a"), grant: other)
        #expect(index[self.key("a")]?.entries.count == 1)
        #expect(index[self.key("a")]?.entries.first?.grant === other)
    }

    @Test func `removing who is not there changes nothing`() {
        var index = SubscriptionIndex<Listener>()
        let listener = Listener(1)
        index.insert(listener, under: self.key("a"), grant: self.grant)
        index.remove(Listener(2), under: self.key("a"))
        index.remove(listener, under: self.key("b"))
        #expect(index[self.key("a")]?.entries.first?.client === listener)
        index.remove(listener, under: self.key("a"))
        index.remove(listener, under: self.key("a"))
        #expect(index[self.key("a")] == nil)
    }

    @Test func `after any coming and going it holds exactly who is there`() {
        var index = SubscriptionIndex<Listener>()
        let listeners = (0..<200).map(Listener.init)
        let keys = (0..<8).map { self.key("key-\($0)") }
        var expected: [FilterKey: Set<Int>] = [:]
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            guard let listener = listeners.randomElement(using: &random), let key = keys.randomElement(using: &random)
            else { return }
            if Bool.random(using: &random) {
                index.insert(listener, under: key, grant: self.grant)
                expected[key, default: []].insert(listener.id)
            } else {
                index.remove(listener, under: key)
                expected[key]?.remove(listener.id)
            }
        }
        for key in keys {
            let found = index[key]?.entries.map(\.client.id) ?? []
            #expect(found.count == Set(found).count)
            #expect(Set(found) == expected[key] ?? [])
        }
        for key in keys { for listener in listeners { index.remove(listener, under: key) } }
        for key in keys { #expect(index[key] == nil) }
    }
}
