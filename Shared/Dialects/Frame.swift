/// Text frames are put together as bytes, so that an event's data is spliced in and not decoded.
extension [UInt8] {
    /// Appends text as it is.
    mutating func append(text: some StringProtocol) { self.append(contentsOf: text.utf8) }

    /// Appends text as a JSON string, with its quotes.
    mutating func append(quoted text: some StringProtocol) {
        self.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): self += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                self.append(text: "\\u00")
                self += [Self.hexadecimal[Int(byte >> 4)], Self.hexadecimal[Int(byte & 15)]]
            default: self.append(byte)
            }
        }
        self.append(UInt8(ascii: "\""))
    }

    private static let hexadecimal: [UInt8] = Array("0123456789abcdef".utf8)
}
