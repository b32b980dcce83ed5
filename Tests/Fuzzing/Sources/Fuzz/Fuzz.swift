import Glibc

/// Runs libFuzzer on one parser: `Fuzz PARSER [OPTION…] [CORPUS…]`. Without arguments, prints the parsers' names.
@main
struct Fuzz {
    static func main() {
        guard let name = CommandLine.arguments.dropFirst().first else {
            print(parsers.keys.sorted().joined(separator: "\n"))
            return
        }
        guard let parser = parsers[name] else {
            print("no parser \(name)")
            exit(2)
        }
        chosen = parser
        // libFuzzer keeps the arguments, so they are never freed.
        let arguments = CommandLine.arguments.enumerated().filter { $0.offset != 1 }.map { strdup($0.element) } + [nil]
        let storage = UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count)
        _ = storage.initialize(from: arguments)
        guard var values = storage.baseAddress else { return }
        var count = CInt(arguments.count - 1)
        exit(
            runLibFuzzer(&count, &values) { start, length in
                chosen(Array(UnsafeBufferPointer(start: start, count: length)))
                return 0
            })
    }
}

// Safe: it is set once, before libFuzzer runs, which calls from one thread.
nonisolated(unsafe) private var chosen: ([UInt8]) -> Void = { _ in }

@_silgen_name("LLVMFuzzerRunDriver")
private func runLibFuzzer(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt
