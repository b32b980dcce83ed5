import FoundationEssentials
import HTTPTypes
public import Hummingbird
import NIOCore

extension Router {
    /// What every process answers on its own port: `/healthz` (alive), `/metrics` (Prometheus) and `/openapi.yaml`. `/readyz` asks who
    /// wants to know, so it is added after authentication.
    public func addOperatorRoutes(readiness: Readiness, metrics: PrometheusRegistry, openAPI: [UInt8]) {
        let sample = ProcessSample(readiness: readiness)
        self.get("/healthz") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(string: #"{"status":"ok"}"#)))
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
