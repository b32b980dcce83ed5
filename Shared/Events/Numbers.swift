/// Arithmetic on numbers that a peer chose, which never traps.
extension FixedWidthInteger {
    /// The whole part of a number, limited to what the type can hold. Zero for what is not a number.
    public init(clamping number: Double) {
        guard !number.isNaN else {
            self = 0
            return
        }
        self = Self(exactly: number.rounded(.towardZero)) ?? (number < 0 ? .min : .max)
    }

    /// The growth of a counter since an earlier reading. Returns `nil` if it went back or is negative: that is not the same counter.
    public func increase(since earlier: Self) -> Self? {
        guard earlier >= 0, self >= earlier else { return nil }
        return self - earlier
    }

    /// The sum, limited to what the type can hold.
    public func addingClamped(_ other: Self) -> Self {
        let (sum, hasOverflow) = self.addingReportingOverflow(other)
        return hasOverflow ? (other < 0 ? .min : .max) : sum
    }

    /// The difference, limited to what the type can hold.
    public func subtractingClamped(_ other: Self) -> Self {
        let (difference, hasOverflow) = self.subtractingReportingOverflow(other)
        return hasOverflow ? (other < 0 ? .max : .min) : difference
    }

    /// The product, limited to what the type can hold.
    public func multipliedClamped(by other: Self) -> Self {
        let (product, hasOverflow) = self.multipliedReportingOverflow(by: other)
        return hasOverflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}
