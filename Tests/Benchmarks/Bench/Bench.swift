import ArgumentParser

/// Measures the suite from outside, against running processes: `./crosspoint bench` starts them and calls this.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a running suite, and publishes what tests need.",
        subcommands: [
            AuthBench.self, BusCommand.self, ChatCommand.self, EventsCommand.self, PublishCommand.self,
            SourcesCommand.self,
            TokensCommand.self, VerifyCommand.self, WritesCommand.self,
        ])
}
