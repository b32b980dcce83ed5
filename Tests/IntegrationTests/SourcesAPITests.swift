import Events
import TestSupport
import Testing

/// Source Saver's sources over HTTP, every status code of contract source-saver §10, against the real obs-bridge.
@Suite("Sources API", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct SourcesAPITests {
    @Test func `a source is created, read, changed and deleted`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let created = try await api.send("POST", "", .donations)
            #expect(created.status == 201)
            let id = try #require(created["id"]?.string)
            #expect(id.hasPrefix("source-") && ULID(text: id.dropFirst(7)) != nil)
            let defaults: [String: JSON] = [
                "name": "Donations", "url": "https://example.com/widget", "width": 800, "height": 600,
                "refreshRate": 30,
                "cssCustom": "", "jsCustom": "", "isActive": false, "activatedAt": nil, "deactivatedAt": nil,
            ]
            for (field, value) in defaults { #expect(created[field] == value, "\(field)") }
            #expect(created["createdAt"]?.string.flatMap(Timestamp.init(iso8601:)) != nil)
            #expect(created["updatedAt"] == created["createdAt"])

            let read = try await api.send("GET", "/\(id)")
            #expect(read.status == 200)
            #expect(read["createdAt"] == created["createdAt"])
            #expect(
                read["performanceMetrics"] == [
                    "cpuUsage": nil, "memoryUsage": nil, "renderTime": nil, "lastUpdated": nil,
                ])

            let changed = try await api.send(
                "PUT", "/\(id)", ["width": 1200, "cssCustom": "a{}", "id": "source-x", "x": 1])
            #expect(changed.status == 200)
            #expect(changed["id"]?.string == id && changed["width"] == 1200 && changed["cssCustom"] == "a{}")
            #expect(changed["height"] == 600)

            let performance = try await api.send("GET", "/\(id)/performance?hours=168")
            #expect(performance.status == 200)
            #expect(performance["sourceId"]?.string == id && performance["metrics"] == [])
            #expect(performance["summary"]?["dataPoints"] == 0)

            let deleted = try await api.send("DELETE", "/\(id)")
            #expect(deleted.status == 200)
            #expect(deleted["success"] == true && deleted["message"] == "Source deleted successfully")
            #expect(deleted["deletedSource"] == ["id": .string(id), "name": "Donations"])
            #expect(try await api.send("GET", "/\(id)").status == 404)
        }
    }

    @Test func `what is not valid is refused and changes nothing`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let id = try await api.create("Donations")
            let before = try await api.send("GET", "")
            for (field, value) in Self.invalidFields {
                let posted = try await api.send("POST", "", .donations(with: field, value))
                #expect(posted.isError(400, prefix: "Validation failed: \(field) "), "POST \(field) \(value)")
                let put = try await api.send("PUT", "/\(id)", [field: value])
                #expect(put.isError(400, prefix: "Validation failed: \(field) "), "PUT \(field) \(value)")
            }
            for field in ["name", "url", "width", "height"] {
                let answer = try await api.send("POST", "", .donations(without: field))
                #expect(answer.isError(400, prefix: "Validation failed: \(field) is required"))
            }
            #expect(try await api.send("PUT", "/\(id)", [:]).isError(400, prefix: "Validation failed: "))
            for body in ["{", "[]", "null", "\"x\"", "\u{0}"] {
                #expect(
                    try await api.send("POST", "", bytes: Array(body.utf8)).isError(400, prefix: "Validation failed: "))
            }
            for query in [
                "active=maybe", "limit=0", "limit=1001", "limit=x", "offset=-1", "limit=99999999999999999999",
            ] {
                #expect(try await api.send("GET", "?\(query)").isError(400, prefix: "Validation failed: "), "\(query)")
            }
            #expect(
                try await api.send("GET", "/\(id)/performance?hours=169").isError(400, prefix: "Validation failed: "))
            let tooLarge = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 21)
            #expect(try await api.send("POST", "", bytes: tooLarge).status == 413)
            #expect(try await api.send("GET", "").body == before.body)
        }
    }

    @Test func `an unknown source is not found`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let routes = [
                ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/activate"), ("POST", "/deactivate"),
                ("GET", "/performance"),
            ]
            for id in ["source-01ARZ3NDEKTSV4RRFFQ69G5FAV", "source-", "nope", "%00", "'%20or%20true--"] {
                for (method, path) in routes {
                    let answer = try await api.send(method, "/\(id)\(path)", method == "PUT" ? ["width": 1] : nil)
                    #expect(answer.isError(404, prefix: "Source not found"), "\(method) \(id) \(path)")
                }
            }
        }
    }

    @Test func `a name belongs to one source`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            _ = try await api.create("Donations")
            let other = try await api.create("donations")
            let taken = "A source with this name already exists"
            #expect(try await api.send("POST", "", .donations).isError(409, prefix: taken))
            #expect(try await api.send("PUT", "/\(other)", ["name": "Donations"]).isError(409, prefix: taken))
            #expect(try await api.send("PUT", "/\(other)", ["name": "donations", "width": 5]).status == 200)
        }
    }

    @Test func `an active source is not activated again, and not deleted`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let id = try await api.create("Donations")
            #expect(try await api.send("POST", "/\(id)/deactivate").isError(409, prefix: "Source is already inactive"))
            let activated = try await api.send("POST", "/\(id)/activate")
            #expect(activated.status == 200)
            let activatedAt = try #require(activated["activatedAt"])
            #expect(
                activated.body
                    == .object([
                        "id": .string(id), "name": "Donations", "isActive": true, "activatedAt": activatedAt,
                        "status": "loading",
                    ]))
            #expect(try await api.send("POST", "/\(id)/activate").isError(409, prefix: "Source is already active"))
            let refused = try await api.send("DELETE", "/\(id)")
            #expect(refused.isError(409, prefix: "Cannot delete an active source. Please deactivate it first."))
            #expect(try await api.send("GET", "?active=true")["total"] == 1)
            let deactivated = try await api.send("POST", "/\(id)/deactivate")
            #expect(deactivated.status == 200)
            #expect(deactivated["success"] == true && deactivated["source"]?["isActive"] == false)
            #expect(deactivated["source"]?["deactivatedAt"]?.string != nil)
            #expect(try await api.send("GET", "?active=true")["total"] == 0)
        }
    }

    @Test func `every change is told, in order`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let id = try await api.create("Donations")
            _ = try await api.send("PUT", "/\(id)", .donations)
            _ = try await api.send("PUT", "/\(id)", ["isActive": true, "width": 1200])
            _ = try await api.send("PUT", "/\(id)", ["isActive": false])
            _ = try await api.send("POST", "/\(id)/activate")
            _ = try await api.send("POST", "/\(id)/deactivate")
            _ = try await api.send("DELETE", "/\(id)")
            let events = try await api.events(room: id)
            #expect(
                events.map { $0["type"]?.string } == [
                    "sources.create", "sources.update", "sources.activate", "sources.update", "sources.deactivate",
                    "sources.activate", "sources.deactivate", "sources.delete",
                ])
            let data = events.compactMap { $0["data"] }
            #expect(data[0]["source"]?["name"] == "Donations" && data[0]["source"]?["isActive"] == false)
            #expect(data[1]["changes"] == ["width", "isActive"] && data[1]["source"]?["isActive"] == true)
            #expect(
                data[2]["sourceId"]?.string == id && data[2]["sourceName"] == "Donations" && data[2]["isActive"] == true
            )
            #expect(data[2]["activatedAt"]?.string != nil)
            #expect(data[4]["isActive"] == false && data[4]["deactivatedAt"]?.string != nil)
            #expect(data[7] == ["sourceId": .string(id), "sourceName": "Donations"])
        }
    }

    @Test func `an eleventh active source is refused, and that is told`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            for number in 1...10 {
                let id = try await api.create("\(number)")
                #expect(try await api.send("POST", "/\(id)/activate").status == 200)
            }
            let id = try await api.create("11")
            #expect(try await api.send("POST", "/\(id)/activate").isError(409, prefix: "Cannot activate source"))
            #expect(try await api.send("PUT", "/\(id)", ["isActive": true, "width": 5]).status == 409)
            #expect(try await api.send("GET", "/\(id)")["width"] == 800)
            let events = try await api.events(room: id)
            #expect(events.map { $0["type"]?.string } == ["sources.create", "system.error", "system.error"])
            let error = try #require(events.last?["data"])
            #expect(error["errorCode"] == "ACTIVATION_FAILED" && error["sourceId"]?.string == id)
            #expect(error["details"]?["retryable"] == true)
        }
    }

    @Test func `what needs OBS says that it is not there`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = SourcesClient(suite)
            let status = try await api.send("GET", path: "/api/obs/status")
            #expect(status.status == 200 && status["connected"] == false && status["lastConnected"] == .null)
            let message = "OBS is not connected. Please connect to OBS first."
            for (method, path) in [
                ("GET", "/api/obs/scenes"), ("POST", "/api/obs/current-scene"), ("GET", "/api/obs/stats"),
                ("GET", "/api/scenes/My%20Scene/sources"), ("DELETE", "/api/scenes/A/sources/bulk"),
                ("PUT", "/api/scenes/A/sources/B/config"),
            ] {
                let answer = try await api.send(method, path: path, method == "GET" ? nil : [:])
                #expect(answer.isError(503, prefix: message), "\(method) \(path)")
            }
        }
    }

    @Test func `credentials decide what may be read and written, and whose`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let anonymous = SourcesClient(suite)
            let id = try await anonymous.create("Donations")
            let reader = SourcesClient(suite, token: try await suite.token(scope: "obs:read"))
            #expect(try await reader.send("GET", "")["total"] == 1)
            #expect(try await reader.send("POST", "", .donations).isError(403, prefix: ""))
            let writer = SourcesClient(suite, token: try await suite.token(scope: "obs:sources"))
            #expect(try await writer.send("GET", "").isError(403, prefix: ""))
            #expect(try await writer.send("PUT", "/\(id)", ["width": 5]).status == 200)
            #expect(try await SourcesClient(suite, token: "x").send("GET", "").isError(401, prefix: "Unauthorized"))

            let other = SourcesClient(suite, token: try await suite.token(tenant: "other", scope: "*"))
            #expect(try await other.send("GET", "")["total"] == 0)
            #expect(try await other.send("GET", "/\(id)").status == 404)
            #expect(try await other.send("PUT", "/\(id)", ["width": 6]).status == 404)
            #expect(try await other.send("POST", "/\(id)/activate").status == 404)
            #expect(try await other.send("DELETE", "/\(id)").status == 404)
            #expect(try await other.events(room: id).isEmpty)
            #expect(try await other.send("POST", "", .donations).status == 201)
        }
    }

    private static let invalidFields: [(String, JSON)] = [
        ("name", ""), ("name", "  "), ("name", .string(String(repeating: "x", count: 256))), ("name", 5), ("name", nil),
        ("name", "a\u{0}b"), ("url", "nope"), ("url", "/widget"), ("url", "http://"), ("url", "file:///etc/hosts"),
        ("url", 1),
        ("width", 0), ("width", 7681), ("width", 1.5), ("width", "800"), ("height", 0), ("height", 4321),
        ("height", nil),
        ("refreshRate", 0), ("refreshRate", 61), ("cssCustom", 5), ("jsCustom", "\u{0}"), ("isActive", "yes"),
    ]
}
