/// Whether a text can be an e-mail address. Only a message to it would prove that it is one.
enum EmailAddress {
    /// ASCII only: beyond it Postgres and Swift fold case differently, and one account would have several names.
    static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return text.utf8.count <= 254 && parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
