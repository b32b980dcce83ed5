/// Whether a text can be an e-mail address. Only a message to it would prove that it is one.
enum EmailAddress {
    static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return text.utf8.count <= 254 && parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
            && text.unicodeScalars.allSatisfy {
                !$0.properties.isWhitespace && ![.control, .format].contains($0.properties.generalCategory)
            }
    }
}
