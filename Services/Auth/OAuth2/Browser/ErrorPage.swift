import Database
import HTTPTypes
import Hummingbird
import ServiceKit

/// What a person sees when something is wrong that is not for the client to know.
enum ErrorPage {
    /// A form that another site sent, or one from before a sign-in.
    static let foreign = APIFailure(
        .forbidden, "This form is out of date, or did not come from here. Go back to the application and begin again.")

    /// Turns what goes wrong into a page.
    static func guarding(_ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let failure as APIFailure {
            return Self.response(failure)
        } catch let error as DatabaseError where Self.mayPass(error) {
            return Self.response(.unavailable("The service is not available at the moment. Try again soon."))
        }
    }

    static func mayPass(_ error: DatabaseError) -> Bool {
        switch error {
        case .unavailable, .outcomeUnknown, .notActiveWriter: true
        default: false
        }
    }

    private static func response(_ failure: APIFailure) -> Response {
        WebPage(
            status: failure.status, title: "That did not work",
            body: """
                <h1>That did not work</h1>
                <p class="bad">\(failure.message)</p>
                <p class="quiet">Nothing was granted.</p>
                """
        ).response(failure.headers)
    }
}
