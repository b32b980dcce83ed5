import Crypto
import Foundation
import HTTPTypes
import ServiceKit
import WebSockets

/// Seals the passwords of OBS connections for the database, with AES-GCM. A password belongs to one connection and one address: a seal
/// cannot be opened after either of them has changed.
struct PasswordSeal: Sendable {
    private let key: SymmetricKey

    /// Begins each seal that is bound to an address. Seals without it are bound to the connection's id only.
    private static let prefix = "v2."

    init(key: SymmetricKey) { self.key = key }

    func seal(_ password: String, for connection: OBSConnection) throws -> String {
        let box = try AES.GCM.seal(
            Data(password.utf8), using: self.key, authenticating: Self.destination(of: connection))
        guard let combined = box.combined else { throw APIFailure(.internalServerError, "The password was not sealed") }
        return Self.prefix + combined.base64EncodedString()
    }

    /// Returns the connection's password, or `nil` if it was sealed with another key, for another connection or for another address.
    func open(_ connection: OBSConnection) -> String? {
        guard let sealed = connection.password, sealed.hasPrefix(Self.prefix) else { return nil }
        return self.open(sealed.dropFirst(Self.prefix.count), authenticating: Self.destination(of: connection))
    }

    /// Returns a seal for the connection's address in place of one that is bound to its id only, and `nil` if there is none or if it
    /// cannot be opened.
    func resealed(_ connection: OBSConnection) throws -> String? {
        guard let sealed = connection.password, !sealed.hasPrefix(Self.prefix),
            let password = self.open(sealed[...], authenticating: Data(connection.id.utf8))
        else { return nil }
        return try self.seal(password, for: connection)
    }

    private func open(_ sealed: Substring, authenticating data: Data) -> String? {
        // `try?`: there is only one thing that can be wrong with it.
        guard let bytes = Data(base64Encoded: String(sealed)), let box = try? AES.GCM.SealedBox(combined: bytes),
            let password = try? AES.GCM.open(box, using: self.key, authenticating: data)
        else { return nil }
        return String(decoding: password, as: UTF8.self)
    }

    /// No part of it can hold a line feed.
    private static func destination(of connection: OBSConnection) -> Data {
        let address = connection.address
        let parts = [
            connection.id, address.isSecure ? "wss" : "ws", address.host, "\(address.port)", address.path,
        ]
        return Data(parts.joined(separator: "\n").utf8)
    }
}
