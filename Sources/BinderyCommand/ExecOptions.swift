import ArgumentParser

/// The options of `exec`: what may stand before the module, and directly after it.
struct ExecOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The exported function to call.", valueName: "name"))
  var invoke: String?

  @Option(help: ArgumentHelp("A folder that the module may use, as PATH or GUEST=HOST.", valueName: "folder"))
  var dir: [String] = []

  @Option(help: ArgumentHelp("A variable of the module's environment, as NAME=VALUE.", valueName: "variable"))
  var env: [String] = []

  @Option(parsing: .unconditional, help: ArgumentHelp("Give up after this time, counted from the start of the command.", valueName: "seconds"))
  var timeout: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most bytes that the module may take: memories, tables, translated code and buffers of the host together.",
      valueName: "bytes"))
  var memoryLimit: UInt64?

  @Option(parsing: .unconditional, help: ArgumentHelp("The most instructions that the module may execute.", valueName: "n"))
  var fuel: Int64?

  @Flag(help: "Let the module control the terminal (colours, the cursor): without it, control characters are shown, not obeyed.")
  var rawTerminal = false

  @Flag(help: "Print one JSON object instead of text; what the module prints goes to standard error.")
  var json = false

  @OptionGroup var confinement: SandboxOptions

  static let flags: Set = ["--json", "--raw-terminal", "--sandbox"]
  static let valued: Set = ["--invoke", "--dir", "--env", "--timeout", "--memory-limit", "--fuel"]

  func validate() throws {
    if let timeout, !(timeout > 0 && timeout < 1e9) {
      throw ValidationError("--timeout must be above 0 and below 1e9 seconds, found \(timeout)")
    }
    if let fuel, fuel < 0 { throw ValidationError("--fuel must be at least 0, found \(fuel)") }
    if let bad = env.first(where: { !$0.contains("=") }) { throw ValidationError("--env takes NAME=VALUE, found '\(bad)'") }
  }

  /// Takes the options of this command out of the words that follow the module: those that stand directly after it, up to
  /// `--` or any other word; with --invoke also those after the numbers, which no option can be mistaken for.
  mutating func takeLeading(of words: inout [String]) throws {
    var own: [String] = []
    var rest: [String] = []
    var index = 0
    var invokes = invoke != nil
    while index < words.count {
      let name = words[index].prefix { $0 != "=" }
      let hasValue = name.count < words[index].count
      if words[index] == "--" {
        rest += words[(index + 1)...]
        break
      } else if Self.flags.contains(words[index]) || (Self.valued.contains(String(name)) && hasValue) {
        own.append(words[index])
      } else if Self.valued.contains(words[index]) {
        own += words[index..<min(index + 2, words.count)]
        index += 1
      } else if invokes {
        rest.append(words[index])
      } else {
        rest += words[index...]
        break
      }
      invokes = invokes || name == "--invoke"
      index += 1
    }
    words = rest
    guard !own.isEmpty else { return }
    let following: ExecOptions
    do { following = try ExecOptions.parse(own) } catch { throw ValidationError(ExecOptions.message(for: error)) }
    guard own.count(where: { $0 == "--invoke" || $0.hasPrefix("--invoke=") }) < 2 else {
      throw ValidationError("--invoke is given twice behind the module")
    }
    if let name = following.invoke {
      if let invoke { throw ValidationError("--invoke is given twice: '\(invoke)' and '\(name)'") }
      invoke = name
    }
    dir += following.dir
    env += following.env
    timeout = following.timeout ?? timeout
    memoryLimit = following.memoryLimit ?? memoryLimit
    fuel = following.fuel ?? fuel
    rawTerminal = rawTerminal || following.rawTerminal
    json = json || following.json
    confinement.sandbox = confinement.sandbox || following.confinement.sandbox
  }
}
