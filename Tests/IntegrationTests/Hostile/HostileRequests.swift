import Events
import Foundation
import TestSupport
import Testing

extension HostileStage {
    /// Sends every row of the tables; then everything is as it was before.
    func refuse(_ tables: [String], changes: Bool = false) async throws {
        let rows = try tables.map { ($0, try HostileTables.rows($0)) }
        await self.prepare(rows.flatMap(\.1).flatMap(\.texts))
        let before = try await self.state()
        for (table, rows) in rows {
            var passed = 0
            for row in rows {
                if let fault = await self.fault(of: row) {
                    Issue.record("\(table): \(row.name): \(fault)")
                } else {
                    passed += 1
                }
            }
            print("Hostile, \(table): \(passed) of \(rows.count) as they should be")
        }
        guard !changes else { return }
        let after = try await self.state()
        for line in Set(before).symmetricDifference(after).sorted() {
            Issue.record("\(tables) changed something, \(before.contains(line) ? "was" : "is"): \(line)")
        }
    }

    /// Sends the row from an address of its own.
    func send(_ row: HostileRow) async throws -> HTTPClient.Answer {
        var headers = [("X-Forwarded-For", row.headers?["X-Forwarded-For"] ?? self.address())]
        var body: [UInt8] = []
        var type: String?
        if let json = row.json {
            (body, type) = (Array(self.fill(String(decoding: json.bytes, as: UTF8.self)).utf8), "application/json")
        }
        if let text = row.text { (body, type) = (Array(self.fill(text).utf8), "application/json") }
        if let hex = row.hex { (body, type) = (Self.bytes(hex), "application/json") }
        if let form = row.form {
            let pairs = form.map { $0.map { self.fill($0).formEncoded }.joined(separator: "=") }
            (body, type) = (Array(pairs.joined(separator: "&").utf8), "application/x-www-form-urlencoded")
        }
        if let type = row.type ?? type, !type.isEmpty { headers.append(("Content-Type", type)) }
        if let bearer = row.bearer { headers.append(("Authorization", "Bearer \(self.fill(bearer))")) }
        for (name, value) in row.headers ?? [:] where name != "X-Forwarded-For" {
            headers.append((name, self.fill(value)))
        }
        return try await HTTPClient.request(
            row.method ?? "POST", port: self.suite.port(row.service ?? .auth), path: self.fill(row.path),
            headers: headers, body: body)
    }

    /// What is wrong with how the row is answered.
    private func fault(of row: HostileRow) async -> String? {
        let answer: HTTPClient.Answer
        do {
            answer = try await self.send(row)
        } catch {
            return "no answer: \(error)"
        }
        let said = "\(answer.status) \(String(decoding: answer.body.prefix(400), as: UTF8.self))"
        let body = JSON(parsing: answer.body)
        var faults: [String] = []
        func expect(_ fact: Bool, _ what: String) { if !fact { faults.append(what) } }
        // RFC 9700, section 4.12: either sends a browser back.
        expect(answer.status == row.status || (row.status == 302 && answer.status == 303), "not \(row.status)")
        if let code = row.code {
            let error = body?["error"]
            expect((error?["code"] ?? error) == .string(code), "not \(code)")
        }
        if let field = row.field {
            // Or a member of it, as in `roles[0]`.
            let told = body?["error"]?["details"]?["field"]?.string
            expect(told == field || told?.hasPrefix("\(field)[") == true, "not of \(field)")
        }
        for (name, part) in row.answers ?? [:] {
            let value = answer.headers[name.lowercased()]
            expect(value?.contains(part) == true, "\(name) is \(value ?? "missing") and not \(part)")
        }
        for (member, value) in row.body ?? [:] {
            expect(body?[member] == Self.filled(value, by: self.fill), "\(member) is \(body?[member] ?? .null)")
        }
        if let redirect = row.redirect { faults += Self.redirectFaults(row, answer, redirect) }
        faults += self.formFaults(row, answer)
        return faults.isEmpty ? nil : "\(faults.joined(separator: ", ")): \(said)"
    }

    /// What holds for every answer.
    private func formFaults(_ row: HostileRow, _ answer: HTTPClient.Answer) -> [String] {
        var faults: [String] = []
        func expect(_ fact: Bool, _ what: String) { if !fact { faults.append(what) } }
        let challenge = answer.headers["www-authenticate"] ?? ""
        let isOAuth2 = row.path.hasPrefix("/oauth2/")
        let isLogin = ["/api/v1/auth/login", "/api/v1/auth/refresh"].contains { row.path.hasPrefix($0) }
        if answer.status == 401, !isOAuth2, !isLogin {
            expect(challenge.hasPrefix("Bearer"), "no challenge but \(challenge)")
            // RFC 6750, section 3.1: no error where no credential was, or one of another scheme.
            if row.headers == nil {
                expect(
                    challenge.contains(#"error="invalid_token""#) == (row.bearer != nil),
                    "the challenge is \(challenge)")
            }
        }
        if answer.status == 401, isOAuth2 { expect(!challenge.isEmpty, "no challenge") }
        if answer.status == 403, !isOAuth2, !isLogin, row.code == "FORBIDDEN" {
            expect(challenge.contains(#"error="insufficient_scope""#), "the challenge is \(challenge)")
        }
        if answer.status == 405 { expect(answer.headers["allow"]?.isEmpty == false, "no Allow") }
        if [429, 503].contains(answer.status) {
            expect(Int(answer.headers["retry-after"] ?? "") ?? 0 > 0, "no Retry-After")
        }
        if isOAuth2, row.method ?? "POST" == "POST" {
            expect(answer.headers["cache-control"]?.contains("no-store") == true, "may be cached")
        }
        if isOAuth2, row.code != nil, row.redirect == nil {
            let description = JSON(parsing: answer.body)?["error_description"]?.string
            expect(description?.isEmpty == false, "no error_description")
        }
        // RFC 6749 has no word for the request's number; the others' errors name it.
        if row.code != nil, row.code == row.code?.uppercased() {
            let error = JSON(parsing: answer.body)?["error"]
            expect(error?["message"]?.string?.isEmpty == false, "no message")
            expect(error?["request_id"]?.string?.isEmpty == false, "no request_id")
            expect(error?["details"]?.object != nil, "no details")
        }
        let credentials = [row.bearer].compactMap(\.self).map(self.fill).filter { $0.utf8.count >= 12 }
        for credential in credentials {
            expect(
                !String(decoding: answer.body, as: UTF8.self).contains(credential), "the answer repeats the credential")
        }
        return faults
    }

    private static func redirectFaults(_ row: HostileRow, _ answer: HTTPClient.Answer, _ error: String) -> [String] {
        let location = answer.headers["location"]
        if error == "-" { return location == nil ? [] : ["is sent to \(location ?? "")"] }
        guard let location, location.hasPrefix(Self.redirect), let query = URLComponents(string: location)?.queryItems
        else {
            return ["is not sent back but to \(location ?? "nowhere")"]
        }
        let told = query.first { $0.name == "error" }?.value
        return told == error && !query.contains { $0.name == "code" } ? [] : ["is sent back with \(told ?? "no error")"]
    }

    private static func filled(_ value: JSON, by fill: (String) -> String) -> JSON {
        guard case .string(let text) = value else { return value }
        return .string(fill(text))
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.filter { $0 != " " })
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }
}

extension String {
    /// As a form or a query has it.
    var formEncoded: String {
        self.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: String(UnicodeScalar(byte))
            default: String(format: "%%%02X", byte)
            }
        }.joined()
    }
}
