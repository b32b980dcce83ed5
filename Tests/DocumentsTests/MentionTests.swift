import Testing

/// What is true on one machine only has no place in the repository.
@Suite struct MentionTests {
    // In parts, so that this file does not mention them.
    private static let places = ["/wo" + "rk/", "shared" + "/contracts", "/ho" + "me/", "/Us" + "ers/"]

    @Test(arguments: places)
    func `no file names a place on somebody's machine`(place: String) {
        for path in Repository.textFiles {
            #expect(Repository.text(path)?.contains(place) == false, "\(path) mentions \(place)")
        }
    }

    @Test func `no file names the host of a package registry or a mirror`() {
        for path in Repository.textFiles {
            for match in (Repository.text(path) ?? "").matches(of: /https?:\/\/([A-Za-z0-9.-]+)/) {
                let labels = match.1.lowercased().split(whereSeparator: { $0 == "." || $0 == "-" })
                let suspects = labels.filter {
                    ["registry", "mirror", "mirrors", "proxy", "artifactory", "nexus", "pypi", "npm", "npmjs"].contains(
                        $0)
                }
                #expect(suspects.isEmpty, "\(path) names \(match.1)")
            }
        }
    }
}
