import HTTPTypes
import ServiceKit
import Testing

@testable import Auth

@Suite struct TokenFormTests {
    /// `id:secret` in base 64.
    private static let basic = "Basic aWQ6c2VjcmV0"

    private static func read(_ body: [UInt8], _ authorization: String?) -> String {
        do throws(APIFailure) {
            let form = try TokenForm(try FormParameters(body), authorization: authorization)
            return "\(form.client.id) \(form.client.secret ?? "-") \(form.scope ?? "-")"
        } catch {
            return error.code ?? "\(error.status.code)"
        }
    }

    @Test(
        arguments: [
            ("grant_type=client_credentials&client_id=id&client_secret=secret", nil, "id secret -"),
            ("grant_type=client_credentials", Self.basic, "id secret -"),
            ("grant_type=client_credentials", "basic  aWQ6c2VjcmV0", "id secret -"),
            ("grant_type=client_credentials&client_id=id", Self.basic, "id secret -"),
            ("grant_type=client_credentials&scope=a%3Ab+c:d", Self.basic, "id secret a:b c:d"),
            ("grant_type=client_credentials&scope=", Self.basic, "id secret -"),
            ("grant_type=client_credentials&more=1&&flag", Self.basic, "id secret -"),
            ("grant_type=client_credentials&client_id=id&client_secret=secret", "Bearer x", "id secret -"),
            ("", nil, "invalid_request"), ("client_id=id&client_secret=secret", nil, "invalid_request"),
            ("grant_type=", Self.basic, "invalid_request"),
            ("grant_type=password", Self.basic, "unsupported_grant_type"),
            ("grant_type=Client_Credentials", Self.basic, "unsupported_grant_type"),
            ("grant_type=client_credentials&grant_type=client_credentials", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&scope=a:b&scope=*", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&client_secret=secret", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&client_id=other", Self.basic, "invalid_request"),
            ("grant_type=client_credentials", nil, "invalid_client"),
            // A public client, or one that forgot its secret: the clients' table tells.
            ("grant_type=client_credentials&client_id=id", nil, "id - -"),
            ("grant_type=client_credentials&client_id=id&client_secret=", nil, "id - -"),
            ("grant_type=client_credentials", "Basic", "invalid_client"),
            ("grant_type=client_credentials", "Basic !!!", "invalid_client"),
            ("grant_type=client_credentials", "Basic aWQ=", "invalid_client"),
            ("grant_type=client_credentials&scope=%", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&scope=%zz", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&scope=%FF", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&scope=a%00", Self.basic, "invalid_request"),
            ("grant_type=client_credentials&scope=a%0d%0ab", Self.basic, "invalid_request"),
        ] as [(String, String?, String)])
    func `a request is read, or refused with RFC 6749's code`(body: String, authorization: String?, outcome: String) {
        #expect(Self.read(Array(body.utf8), authorization) == outcome)
    }

    private static let verifier = String(repeating: "v", count: 43)

    @Test(
        arguments: [
            ("grant_type=authorization_code&code=c&redirect_uri=r&code_verifier=\(Self.verifier)", "code c r"),
            ("grant_type=refresh_token&refresh_token=t", "refresh t"),
            ("grant_type=authorization_code&redirect_uri=r&code_verifier=\(Self.verifier)", "invalid_request"),
            ("grant_type=authorization_code&code=c&code_verifier=\(Self.verifier)", "invalid_request"),
            ("grant_type=authorization_code&code=c&redirect_uri=r", "invalid_request"),
            ("grant_type=authorization_code&code=c&redirect_uri=r&code_verifier=short", "invalid_request"),
            (
                "grant_type=authorization_code&code=c&redirect_uri=r&code_verifier=\(Self.verifier)%20",
                "invalid_request"
            ),
            (
                "grant_type=authorization_code&code=c&code=c&redirect_uri=r&code_verifier=\(Self.verifier)",
                "invalid_request"
            ),
            ("grant_type=refresh_token", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=", "invalid_request"),
        ])
    func `a grant has all of its parameters`(body: String, outcome: String) {
        let read: String
        do throws(APIFailure) {
            switch try TokenForm(try FormParameters(body.utf8), authorization: Self.basic).grant {
            case .clientCredentials: read = "client"
            case .code(let code, let redirect, _): read = "code \(code) \(redirect)"
            case .refresh(let token): read = "refresh \(token)"
            }
        } catch {
            read = error.code ?? ""
        }
        #expect(read == outcome)
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(
            Self.read(Array("grant_type=client_credentials&scope=".utf8) + [0xC3, 0x28], Self.basic)
                == "invalid_request")
    }
}
