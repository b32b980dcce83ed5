import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import StreamMetrics

@Suite struct ErrorShapeTests {
    @Test(arguments: [
        (HTTPResponse.Status.badRequest, "VALIDATION_ERROR"), (.unsupportedMediaType, "VALIDATION_ERROR"),
        (.unauthorized, "AUTHENTICATION_REQUIRED"), (.forbidden, "FORBIDDEN"), (.notFound, "NOT_FOUND"),
        (.conflict, "CONFLICT"), (.tooManyRequests, "RATE_LIMITED"), (.serviceUnavailable, "SERVICE_UNAVAILABLE"),
        (.internalServerError, "INTERNAL_ERROR"),
    ])
    func `WAVE's code goes by the status`(status: HTTPResponse.Status, code: String) {
        let body = ErrorShape.wave(APIFailure(status, code: "other", "text", details: ["field": "a"]))
        #expect(body["error"]?["code"] == .string(code))
        #expect(body["error"]?["message"] == "text")
        #expect(body["error"]?["details"] == ["field": "a"])
        #expect(body["error"]?["request_id"]?.string?.hasPrefix("req_") == true)
    }

    @Test func `Astro's body names status and message`() {
        #expect(
            ErrorShape.astro(APIFailure(.notFound, "text")) == [
                "error": "Not Found", "statusCode": 404, "message": "text",
            ])
    }
}
