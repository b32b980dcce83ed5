import Hummingbird
import ServiceKit

extension Parameters {
    func number(_ name: String, _ range: ClosedRange<Int>, default value: Int) throws(APIFailure) -> Int {
        guard let text = self[name[...]] else { return value }
        guard let number = Int(text), range.contains(number) else {
            let bounds =
                range.upperBound == Int.max
                ? "\(range.lowerBound) or more" : "between \(range.lowerBound) and \(range.upperBound)"
            throw APIFailure(.badRequest, "Validation failed: \(name) must be \(bounds)")
        }
        return number
    }

    func flag(_ name: String) throws(APIFailure) -> Bool? {
        guard let text = self[name[...]] else { return nil }
        guard let flag = Bool(String(text)) else {
            throw APIFailure(.badRequest, "Validation failed: \(name) must be true or false")
        }
        return flag
    }
}
