import ArgumentParser

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures.",
    subcommands: [BenchCopyCommand.self, BenchCopyWorkerCommand.self, BenchKernelsCommand.self, BenchMemoryCommand.self,
      BenchMemoryWorkerCommand.self, BenchEngineCommand.self, BenchLLMCommand.self])
}
