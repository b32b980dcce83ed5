import HTTPTypes
public import Hummingbird

extension Router {
    private static var methods: [HTTPRequest.Method] { [.get, .head, .post, .put, .patch, .delete, .options] }

    /// Answers every method that a path does not have with 405 and says which it has (RFC 9110 §15.5.6). Called after all routes
    /// were added. `HEAD` is there wherever `GET` is.
    public func refuseOtherMethods() {
        let paths = Dictionary(grouping: self.routes, by: \.path.description)
        for routes in paths.values {
            var known = Set(routes.map(\.method))
            if known.contains(.get) { known.insert(.head) }
            let allow = known.map(\.rawValue).sorted().joined(separator: ", ")
            for method in Self.methods where !known.contains(method) {
                self.on(routes[0].path, method: method) { _, _ -> Response in
                    throw APIFailure(.methodNotAllowed, "This path has \(allow)", headers: [.allow: allow])
                }
            }
        }
    }
}
