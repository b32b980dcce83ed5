import HTTPTypes
import ServiceKit
import Testing

@testable import Auth

@Suite struct TokenFormTests {
    /// `id:secret` in base 64.
    private static let basic = "Basic aWQ6c2VjcmV0"

    private static func read(_ body: [UInt8], _ authorization: String?) -> String {
        do throws(APIFailure) {
            let form = try TokenForm(body, authorization: authorization)
            return "\(form.clientID) \(form.clientSecret) \(form.scope ?? "-")"
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
            ("grant_type=client_credentials&client_id=id", nil, "invalid_client"),
            ("grant_type=client_credentials&client_id=id&client_secret=", nil, "invalid_client"),
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

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(
            Self.read(Array("grant_type=client_credentials&scope=".utf8) + [0xC3, 0x28], Self.basic)
                == "invalid_request")
    }
}
