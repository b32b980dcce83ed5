extension Collection where Element: Sendable, SubSequence: Sendable {
    /// Does something with each, a hundred at a time: writes at the same time share transactions. The results are in no order.
    func mapConcurrently<Result: Sendable>(
        _ body: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        var results: [Result] = []
        var rest = self[...]
        while !rest.isEmpty {
            let piece = rest.prefix(100)
            rest = rest.dropFirst(100)
            results += try await withThrowingTaskGroup(of: Result.self) { group in
                for element in piece { group.addTask { try await body(element) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        return results
    }
}
