public import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// HTTP/1.1 on connections that may begin with a PROXY header.
struct ProxiedHTTPChannel: ServerChildChannel {
    struct Value: ServerChildChannelValue {
        let connection: HTTP1Channel.Value
        let facts: ConnectionFacts
        var channel: any Channel { self.connection.channel }
    }

    let inner: HTTP1Channel
    let check: ProxyHeaderCheck

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let facts = ConnectionFacts()
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(ProxyHeaderHandler(check: self.check, facts: facts))
        }.flatMap {
            self.inner.setup(channel: channel, logger: logger)
        }.flatMapThrowing { connection in
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(HTTPVersionHandler(facts), position: .after(decoder))
            return Value(connection: connection, facts: facts)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await ConnectionFacts.$current.withValue(value.facts) {
            await self.inner.handle(value: value.connection, logger: logger)
        }
    }
}

/// Notes a request of HTTP/1.0, which what comes after the decoder does not see.
private final class HTTPVersionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private let facts: ConnectionFacts

    init(_ facts: ConnectionFacts) { self.facts = facts }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = self.unwrapInboundIn(data), head.version != .http1_1 { self.facts.isHTTP11 = false }
        context.fireChannelRead(data)
    }
}

extension HTTPServerBuilder {
    /// HTTP/1.1 on connections that may begin with a PROXY header.
    public static func proxiedHTTP1(_ check: ProxyHeaderCheck) -> HTTPServerBuilder {
        HTTPServerBuilder { ProxiedHTTPChannel(inner: HTTP1Channel(responder: $0), check: check) }
    }
}
