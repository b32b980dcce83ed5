import CZeroMQ

/// A Curve25519 key pair, which a process proves itself with on the bus (CurveZMQ, ZeroMQ RFC 26).
public struct BusKey: Sendable, Hashable {
    /// 32 bytes.
    let secret: [UInt8]
    /// 32 bytes, which follow from `secret`.
    public let publicKey: [UInt8]

    /// A Curve25519 key in text, and the zero at its end (ZeroMQ RFC 32).
    private static let textSize = 41

    /// - Parameter secret: 32 random bytes.
    public init(secret: [UInt8]) {
        precondition(secret.count == 32)
        var text = [CChar](repeating: 0, count: Self.textSize)
        var publicText = text
        var publicKey = [UInt8](repeating: 0, count: 32)
        guard zmq_z85_encode(&text, secret, secret.count) != nil, zmq_curve_public(&publicText, text) == 0,
            zmq_z85_decode(&publicKey, publicText) != nil
        else { preconditionFailure("libzmq was built without CURVE") }
        self.secret = secret
        self.publicKey = publicKey
    }
}
