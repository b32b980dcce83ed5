/// Postgres's text form of a one-dimensional array: `{a,"b, c",NULL}`.
enum ArrayText {
    static func write(_ elements: [String]) -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "{")]
        for (index, element) in elements.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(UInt8(ascii: "\""))
            for byte in element.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
                text.append(byte)
            }
            text.append(UInt8(ascii: "\""))
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    /// The elements, or `nil` for what is not such an array or holds a NULL.
    static func read(_ text: some Collection<UInt8>) -> [String]? {
        guard text.first == UInt8(ascii: "{") else { return nil }
        var elements: [String] = []
        var element: [UInt8] = []
        var (isQuoted, wasQuoted, isEscaped) = (false, false, false)
        for byte in text.dropFirst() {
            if isEscaped {
                element.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
                wasQuoted = true
            } else if isQuoted {
                element.append(byte)
            } else if byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") {
                let value = String(decoding: element, as: UTF8.self)
                let isEmpty = byte == UInt8(ascii: "}") && elements.isEmpty && !wasQuoted && value.isEmpty
                if !wasQuoted, value == "NULL" { return nil }
                if !isEmpty { elements.append(value) }
                if byte == UInt8(ascii: "}") { return elements }
                element = []
                wasQuoted = false
            } else if byte == UInt8(ascii: "{") {
                return nil
            } else {
                element.append(byte)
            }
        }
        return nil
    }
}
