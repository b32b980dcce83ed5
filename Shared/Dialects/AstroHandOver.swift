import Events

/// What one gateway tells the next of an Astro connection: who it is, and its subscriptions, each with whose credential it was made.
struct AstroHandOver {
    let clientID: String
    let subscriptions: [AstroSession.Subscription: Principal]
    /// Ids of channels by the names that the client uses, in lower case.
    let names: [String: String]

    init(clientID: String, subscriptions: [AstroSession.Subscription: Principal], names: [String: String]) {
        self.names = names
        self.clientID = clientID
        self.subscriptions = subscriptions
    }

    /// `nil` for what no Astro session has handed over.
    init?(_ value: HandOver) {
        guard let clientID = value.session["client_id"]?.string, let rows = value.session["subs"]?.array else {
            return nil
        }
        var subscriptions: [AstroSession.Subscription: Principal] = [:]
        for row in rows {
            guard let row = row.array, row.count == 3, let topic = row[0].string, let room = row[1].string,
                case .integer(let place) = row[2], value.principals.indices.contains(Int(clamping: place))
            else { return nil }
            let principal = value.principals[Int(clamping: place)]
            // A topic that this gateway does not know comes of a newer one, and nobody here can say it.
            guard Astro.topics[topic] != nil else { continue }
            let subscription = AstroSession.Subscription(topic: topic, room: room, tenant: principal.tenant)
            subscriptions[subscription] = principal
        }
        let names = (value.session["names"]?.object ?? [:]).compactMapValues(\.string)
        self.init(clientID: clientID, subscriptions: subscriptions, names: names)
    }

    var value: HandOver {
        var principals: [Principal] = []
        var places: [Principal: Int] = [:]
        let rows = self.subscriptions.map { subscription, principal -> JSON in
            let place = places[principal] ?? principals.count
            if place == principals.count {
                places[principal] = place
                principals.append(principal)
            }
            return [.string(subscription.topic), .string(subscription.room), .integer(Int64(place))]
        }
        return HandOver(
            principals: principals,
            session: [
                "client_id": .string(self.clientID), "subs": .array(rows),
                "names": .object(self.names.mapValues(JSON.string)),
            ])
    }
}
