import FoundationEssentials
import HTTPTypes
public import Hummingbird
import NIOCore

extension Router {
    /// What every process answers on its own port: `/healthz` (alive), `/readyz` (each dependency by name; 503 while one is
    /// missing), `/metrics` (Prometheus) and `/openapi.yaml`.
    public func addOperatorRoutes(readiness: Readiness, metrics: PrometheusRegistry, openAPI: [UInt8]) {
        let sample = ProcessSample(readiness: readiness)
        self.get("/healthz") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(string: #"{"status":"ok"}"#)))
        }
        self.get("/readyz") { _, _ in
            let dependencies = readiness.dependencies
            let isReady = dependencies.values.allSatisfy(\.self)
            let members = dependencies.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
            let body = "{\"ready\":\(isReady),\"dependencies\":{\(members.joined(separator: ","))}}"
            return Response(
                status: isReady ? .ok : .serviceUnavailable, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(string: body)))
        }
        self.get("/metrics") { _, _ in
            sample.take()
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
                body: .init(byteBuffer: ByteBuffer(string: metrics.text)))
        }
        self.get("/openapi.yaml") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/yaml"],
                body: .init(byteBuffer: ByteBuffer(bytes: openAPI)))
        }
    }
}
