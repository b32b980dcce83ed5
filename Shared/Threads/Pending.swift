import NIOConcurrencyHelpers

/// A value that one task awaits and others give; the first one given counts.
public final class Pending<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case awaited(CheckedContinuation<Value, Never>)
        case given(Value)
    }

    private let state = NIOLockedValueBox(State.empty)

    public init() {}

    /// `false`: another value was given before.
    @discardableResult
    public func give(_ value: Value) -> Bool {
        let (isFirst, continuation) = self.state.withLockedValue {
            state -> (Bool, CheckedContinuation<Value, Never>?) in
            switch state {
            case .given: return (false, nil)
            case .empty:
                state = .given(value)
                return (true, nil)
            case .awaited(let continuation):
                state = .given(value)
                return (true, continuation)
            }
        }
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Gives `value` after a time, unless the task is cancelled before.
    public func give(_ value: Value, after time: Duration) async {
        // `try?`: cancelled means that nobody waits any more.
        if (try? await Task.sleep(for: time)) != nil { self.give(value) }
    }

    /// The value, once it is there. For one caller.
    public func value() async -> Value {
        await withCheckedContinuation { continuation in
            let value = self.state.withLockedValue { state -> Value? in
                if case .given(let value) = state { return value }
                state = .awaited(continuation)
                return nil
            }
            if let value { continuation.resume(returning: value) }
        }
    }
}
