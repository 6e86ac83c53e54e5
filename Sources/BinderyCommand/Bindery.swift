import ArgumentParser

@main
struct BinderyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "bindery", abstract: "Runs machine-learning models as sandboxed WebAssembly guests.")
}
