import Events
import Testing

@Suite struct JSONTests {
    @Test(
        arguments: [
            ("null", .null), ("true", true), ("0", 0), ("-7", -7), ("1.5", 1.5),
            ("9223372036854775807", .integer(.max)),
            ("\"\"", ""), (#""\u00e9\"\\\/\n""#, "é\"\\/\n"), ("[]", []), ("{}", [:]),
            (" [1, \"a\", null] ", [1, "a", nil]),
            (#"{"a":{"b":[true]}}"#, ["a": ["b": [true]]]), ("1e3", 1000), ("1.0", 1), ("-0.25e-2", -0.0025),
            ("1e300", 1e300), ("99999999999999999999", 99999999999999999999.0),
            ("-9223372036854775808", .integer(.min)),
            (#"{"a":1,"a":2}"#, ["a": 2]), ("[[],{},[{}]]", [[], [:], [[:]]]), (#""\b\f\r\t""#, "\u{8}\u{C}\r\t"),
            (#""\ud83d\ude00""#, "😀"),
        ] as [(String, JSON)])
    func `a value is read, and read back when written`(text: String, value: JSON) {
        #expect(JSON(parsing: Array(text.utf8)) == value)
        #expect(JSON(parsing: value.bytes) == value)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "[1 2]", "{\"a\" 1}", "-", "1.", ".5", "1e", "+1", "--1",
        "tru", "[1", #""\u00g0""#, #""\ud83d\u0041""#, #""\udc00""#,
        "{\"a\"}", "{'a':1}", "nul", "NaN", "Infinity", "1e999", "\"a", "\"\u{1}\"", "{} {}", "1 1", "01",
        #""\ud83d""#, #""\x""#, "\u{FEFF}x",
    ])
    func `what is no JSON is not read`(text: String) {
        #expect(JSON(parsing: Array(text.utf8)) == nil)
    }

    @Test(arguments: [[0xFF], [0x22, 0xC3, 0x28, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0]] as [[UInt8]])
    func `bytes that are not UTF-8 are not read`(bytes: [UInt8]) {
        #expect(JSON(parsing: bytes) == nil)
    }

    @Test(arguments: ["[", "{\"a\":", "[{\"a\":"])
    func `nesting without end is refused, not followed`(opening: String) {
        let text = Array(String(repeating: opening, count: 100_000).utf8)
        #expect(JSON(parsing: text) == nil)
    }

    @Test func `closed nesting too deep is refused, moderate nesting is read`() {
        let nested = { (depth: Int) in
            Array(String(repeating: "[", count: depth).utf8) + Array(String(repeating: "]", count: depth).utf8)
        }
        #expect(JSON(parsing: nested(100_000)) == nil)
        #expect(JSON(parsing: nested(128)) != nil)
        #expect(JSON(parsing: nested(129)) == nil)
    }

    @Test(
        arguments: [
            ["b": [1, -2, nil, true], "a": "\"\\/\u{1}é"], [], [:], 1.5, 1e300, .number(1e20), .integer(.min), "",
        ] as [JSON])
    func `a value is written as the library writes it`(value: JSON) throws {
        #expect(value.bytes == JSON.encode(value) || JSON(parsing: value.bytes) == JSON(parsing: JSON.encode(value)))
        #expect(try JSON.decode(JSON.self, from: value.bytes) == value)
    }

    @Test func `what is no number is written as null`() {
        #expect(JSON.array([.number(.infinity), .number(.nan)]).bytes == Array("[null,null]".utf8))
    }

    @Test func `a megabyte of small values is read without delay`() {
        let text = Array("[\(String(repeating: "1,", count: 500_000))1]".utf8)
        #expect(JSON(parsing: text)?.array?.count == 500_001)
    }

    @Test func `members by kind`() {
        let value: JSON = ["s": "x", "n": 1, "d": 1.5, "b": true, "a": ["x", "y"], "m": ["x", 1], "z": nil]
        #expect(value["s"]?.string == "x")
        #expect(value["n"]?.double == 1)
        #expect(value["d"]?.double == 1.5)
        #expect(value["b"]?.bool == true)
        #expect(value["a"]?.strings == ["x", "y"])
        #expect(value["m"]?.strings == nil)
        #expect(value["m"]?.array?.count == 2)
        #expect(value["z"] == .null)
        #expect(value["none"] == nil)
        #expect(JSON.string("s")["a"] == nil)
        #expect(value["b"]?.double == nil)
        #expect(value["n"]?.bool == nil)
    }

    @Test func `keys are written in order and slashes as they are`() {
        #expect(String(decoding: JSON.encode(["b": "a/b", "a": "1"]), as: UTF8.self) == #"{"a":"1","b":"a/b"}"#)
    }

    @Test(
        arguments: [
            ("9007199254740992", 1 << 53), ("-9007199254740992", -(1 << 53)), ("9007199254740993", nil),
            ("9223372036854775807", nil), ("-9223372036854775808", nil), ("1e308", nil), ("-1e308", nil), ("1.5", nil),
            ("3.0", 3), ("\"3\"", nil), ("null", nil),
        ] as [(String, Int64?)])
    func `integers from outside are within 2^53`(text: String, integer: Int64?) {
        #expect(JSON(parsing: Array(text.utf8))?.integer == integer)
    }

    @Test func `numbers from outside are within 2^53, and others pass through as they are`() throws {
        for text in ["9223372036854775807", "-9223372036854775808", "1e308", "-1e308", "9007199254740994.0"] {
            let value = try #require(JSON(parsing: Array(text.utf8)))
            #expect(value.double == nil && value.isNumber)
            #expect(JSON(parsing: value.bytes) == value)
        }
        #expect(JSON.number(0x1p53).double == 0x1p53)
        #expect(JSON.number(.nan).double == nil && JSON.number(.infinity).double == nil)
    }

    private struct Numbers: Encodable {
        var name = "a/b"
        var one: Double
        var list: [Double]
        var nested: [String: JSON]
    }

    @Test func `what is not finite is written as null, and everything else as it is`() {
        let numbers = Numbers(
            one: .nan, list: [1, .infinity, -.infinity], nested: ["x": .number(.infinity), "y": "nan"])
        let text = #"{"list":[1,null,null],"name":"a/b","nested":{"x":null,"y":"nan"},"one":null}"#
        #expect(String(decoding: JSON.encode(numbers), as: UTF8.self) == text)
        #expect(JSON.encode(Double.nan) == Array("null".utf8))
    }

    @Test func `a value that does not encode is written as null`() {
        struct Refuses: Encodable {
            func encode(to encoder: any Encoder) throws {
                throw EncodingError.invalidValue(0, .init(codingPath: [], debugDescription: "never"))
            }
        }
        #expect(JSON.encode(Refuses()) == Array("null".utf8))
    }
}
