import HTTPTypes
import ServiceKit
import Testing

@testable import Auth

@Suite struct PasswordHasherTests {
    private static let cheap = PasswordHash.Cost(ln: 10, r: 8, p: 1)

    @Test func `it says of each password whether it is right, and of nobody that it is not`() async throws {
        let hasher = PasswordHasher(cost: Self.cheap)
        let hash = try await hasher.hash("a long enough secret")
        #expect(hash.cost == Self.cheap)
        #expect(try await hasher.matches("a long enough secret", hash))
        #expect(try await !hasher.matches("another long secret", hash))
        #expect(try await !hasher.matches("a long enough secret", nil))
    }

    @Test func `those who would wait for too long are put off, and the others are answered`() async throws {
        let hasher = PasswordHasher(cost: Self.cheap)
        let hash = try await hasher.hash("a long enough secret")
        let answers = try await withThrowingTaskGroup(of: Bool?.self) { group in
            for _ in 0..<300 {
                group.addTask {
                    do {
                        return try await hasher.matches("a long enough secret", hash)
                    } catch let failure as APIFailure where failure.status == .serviceUnavailable {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: [Bool?]()) { $0.append($1) }
        }
        #expect(answers.contains(nil) && answers.filter { $0 == true }.count >= 34 && !answers.contains(false))
        // Places are given back.
        #expect(try await hasher.matches("a long enough secret", hash))
    }
}
