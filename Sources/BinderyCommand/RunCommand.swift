import ArgumentParser
import Bindery
import Foundation
import SystemFiles

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Generates text after a prompt, or an answer to it.",
    discussion: "Text is streamed to standard output; then a line of speeds and memory follows on standard error.")

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  // Values are taken as they are, also where they begin with a dash: `--prompt "-5 degrees"`.

  @Option(name: .shortAndLong, parsing: .unconditional, help: "The prompt. Without it and --prompt-file: what is piped in.")
  var prompt: String?

  @Option(
    name: [.customShort("f"), .long], parsing: .unconditional,
    help: ArgumentHelp(
      "Read the prompt from a file or pipe; - is standard input. A line break at its end is left out.", valueName: "file"))
  var promptFile: String?

  @Flag(help: "Apply the model's chat template to the prompt, as a user's message.")
  var chat = false

  @Option(parsing: .unconditional, help: "With --chat: the system message before it.")
  var system: String?

  @Flag(help: "Neither add nor recognise special tokens in a raw prompt.")
  var noSpecial = false

  @Option(name: [.customShort("n"), .long], parsing: .unconditional, help: "At most this many tokens.")
  var maxTokens = 256

  @Option(parsing: .unconditional, help: "0 = greedy: always the most probable token.")
  var temperature: Float = 0

  @Option(parsing: .unconditional, help: "Sample among the k most probable tokens only (0: all).")
  var topK = 0

  @Option(parsing: .unconditional, help: "Sample among the most probable tokens that sum to p (1: all).")
  var topP: Float = 1

  @Option(parsing: .unconditional, help: "Sample among tokens at least p times as probable as the best (0: all).")
  var minP: Float = 0

  @Option(parsing: .unconditional, help: "Lower the logits of the last 64 tokens by this factor (1: off).")
  var repeatPenalty: Float = 1

  @Option(name: .shortAndLong, parsing: .unconditional, help: "The same seed gives the same text; any whole number of 64 bits.")
  var seed = Seed(number: 0)

  @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp("End before this text; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Option(parsing: .unconditional, help: ArgumentHelp("With --json: report the n best candidates of each token.", valueName: "n"))
  var topLogprobs = 0

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  @Flag(help: "Print no lines of speed and memory.")
  var quiet = false

  @OptionGroup var options: ModelOptions

  @OptionGroup var confinement: SandboxOptions

  func validate() throws {
    if prompt != nil && promptFile != nil { throw Self.promptMissing }
    if prompt == nil && promptFile == nil && StandardStream.input.isTerminal { throw Self.promptMissing }
    if system != nil && !chat { throw ValidationError("--system needs --chat") }
    if maxTokens < 1 { throw ValidationError("--max-tokens must be at least 1, found \(maxTokens)") }
    if topLogprobs < 0 { throw ValidationError("--top-logprobs must be at least 0, found \(topLogprobs)") }
    if let problem = sampling.problem { throw ValidationError(problem) }
  }

  private static let promptMissing = ValidationError(
    "give the prompt once: with --prompt, with --prompt-file, or piped to standard input")

  /// The prompt, from where it comes.
  private func promptText(isStopped: () -> Bool) throws -> String {
    if let prompt { return prompt }
    var text = try readText(promptFile ?? "-", isStopped: isStopped)
    // As an editor or `echo` leaves it. A character of its own in Swift: the pair with a carriage return.
    if text.last == "\n" || text.last == "\r\n" { text.removeLast() }
    if text.isEmpty, promptFile == nil { throw Self.promptMissing }
    return text
  }

  private var sampling: SamplingOptions {
    SamplingOptions(temperature: temperature, topK: topK, topP: topP, minP: minP, repeatPenalty: repeatPenalty, seed: seed.number)
  }

  func run() throws {
    try enterSandbox()
    // One time limit and one cancellation for everything, from reading the prompt to the end of the generation.
    let cancellation = Cancellation()
    let interruption = Interruption(timeout: options.timeout) { cancellation.cancel() }
    defer { interruption.end() }
    do { try run(interruption, cancellation) } catch { throw interruption.failure ?? error }
  }

  private func run(_ interruption: Interruption, _ cancellation: Cancellation) throws {
    let text = try promptText(isStopped: { interruption.isOver })
    let clock = ContinuousClock()
    let begin = clock.now
    let host = try options.makeHost()
    let model = try options.open(model, host: host)
    let (tokens, session) = try failing { () throws(BinderyError) in
      // Two independent things that take time at the start: the tokenizer, and the instance of the program.
      let limits = SessionLimits(timeLimit: interruption.remainingTime)
      let instance = Background { () throws(BinderyError) in
        try model.makeSession(limits, cancellation: cancellation)
      }
      let tokens = try encode(text, model, isStopped: { cancellation.isCancelled })
      return (tokens, try instance.value())
    }
    if let failure = interruption.failure { throw failure }
    let loadSeconds = seconds(clock.now - begin)
    let output = StreamedOutput { cancellation.cancel() }
    let request = GenerationRequest(
      promptTokens: tokens, tokenCountMax: maxTokens, sampling: sampling, stopStrings: stop, topLogProbabilityCount: topLogprobs,
      timeLimit: interruption.remainingTime)
    var result = try failing { () throws(BinderyError) in
      try session.generate(request, cancellation: cancellation) { piece in if !json { output.write(piece) } }
    }
    // What there is, is printed, however long that takes.
    interruption.end()
    try output.check()
    result.timings.loadSeconds = loadSeconds
    if json {
      try printJSON(RunOutput(result, session.memory), streaming: "top_logprobs") { write in
        try RunOutput.writeCandidates(result.topLogProbabilities, write)
      }
    } else {
      try standardOutput("\n")
      if !quiet { standardError(Self.summary(result, tokenCount: tokens.count)) }
    }
    // What there is has been given; the status says that it is not all.
    switch result.finishReason {
    case .stop, .length: return
    case .cancelled: throw interruption.failure ?? interruption.timeoutFailure
    case .memoryLimit:
      throw CommandFailure(
        "the text ends early: the session's memory limit of \(session.memory.byteCountMax) bytes is reached (--memory-limit)")
    }
  }

  /// From here on the process reads the model, the program and the prompt, and nothing else. Before anything starts a thread.
  private func enterSandbox() throws(CommandFailure) {
    guard confinement.sandbox else { return }
    if options.kernels == .native { confinement.loadLibraries() }
    let files = [options.loading.program, promptFile].compactMap { $0 }.filter { $0 != "-" }
    try confinement.enter(
      SandboxOptions.rules(forModel: ModelOptions.resolve(model)) + files.map { Sandbox.Rule(SystemString($0), .read) })
  }

  private func encode(_ text: String, _ model: Model, isStopped: @escaping () -> Bool) throws(BinderyError) -> [Int32] {
    guard chat else { return try model.encode(text, withSpecialTokens: !noSpecial, isStopped: isStopped) }
    var messages: [Model.Message] = []
    if let system { messages.append(.init(role: "system", content: system)) }
    messages.append(.init(role: "user", content: text))
    return try model.encode(messages, isStopped: isStopped)
  }

  /// What a newcomer wants to know: how fast, and that no weights were copied.
  private static func summary(_ result: GenerationResult, tokenCount: Int) -> String {
    let (timings, memory) = (result.timings, result.memory)
    func number(_ value: Double) -> String { String(format: value < 10 ? "%.1f" : "%.0f", value) }
    func size(_ bytes: UInt64) -> String {
      bytes == 0
        ? "0"
        : bytes < 1_000_000 ? String(format: "%.0f KB", Double(bytes) / 1e3) : String(format: "%.1f MB", Double(bytes) / 1e6)
    }
    let end =
      switch result.finishReason {
      case .stop: ""
      case .length: "cut by --max-tokens; "
      case .cancelled: "cancelled; "
      case .memoryLimit: "memory limit reached; "
      }
    return """

      [\(end)\(tokenCount) prompt tokens at \(number(timings.prefillTokensPerSecond))/s, \
      \(result.tokens.count) generated at \(number(timings.decodeTokensPerSecond))/s; ready in \
      \(number(timings.loadSeconds * 1000)) ms, first token after \(number(timings.firstTokenSeconds * 1000)) ms more]
      [weights: \(size(memory.weightsMappedByteCount)) mapped, \(size(memory.weightsCopiedByteCount)) copied; \
      cache \(size(memory.cacheMappedByteCount)); scratch at most \(size(memory.scratchPeakByteCount)), \
      \(size(memory.scratchDiscardedByteCount)) discarded; process \(size(memory.residentAnonymousByteCount)) anonymous]

      """
  }
}

/// A seed as it is typed: also a negative number, which stands for its two's complement.
struct Seed: ExpressibleByArgument {
  let number: UInt64

  init(number: UInt64) { self.number = number }

  init?(argument: String) {
    guard let number = UInt64(argument) ?? Int64(argument).map(UInt64.init(bitPattern:)) else { return nil }
    self.number = number
  }

  var defaultValueDescription: String { "\(number)" }
}

/// The result of `run` in JSON, without the log-probabilities: there may be millions of them.
struct RunOutput: Encodable {
  struct Timings: Encodable {
    let loadSeconds, firstTokenSeconds, prefillTokensPerSecond, decodeTokensPerSecond: Double
  }
  struct Memory: Encodable {
    let weightsMappedBytes, weightsCopiedBytes, scratchPeakBytes, scratchDiscardedBytes, cacheMappedBytes: UInt64
    let rssAnonBytes, rssFileBytes, pssBytes: UInt64
    /// What the session was charged for at most at one time, and what it may be.
    let sessionPeakBytes, sessionLimitBytes: UInt64
  }

  let promptTokenIds: [Int32]
  let tokenIds: [Int32]
  let text: String
  let finishReason: FinishReason
  let timings: Timings
  let memory: Memory

  init(_ result: GenerationResult, _ session: SessionMemory) {
    promptTokenIds = result.promptTokens
    tokenIds = result.tokens
    text = result.text
    finishReason = result.finishReason
    timings = Timings(
      loadSeconds: result.timings.loadSeconds, firstTokenSeconds: result.timings.firstTokenSeconds,
      prefillTokensPerSecond: result.timings.prefillTokensPerSecond, decodeTokensPerSecond: result.timings.decodeTokensPerSecond)
    let memory = result.memory
    self.memory = Memory(
      weightsMappedBytes: memory.weightsMappedByteCount, weightsCopiedBytes: memory.weightsCopiedByteCount,
      scratchPeakBytes: memory.scratchPeakByteCount, scratchDiscardedBytes: memory.scratchDiscardedByteCount,
      cacheMappedBytes: memory.cacheMappedByteCount, rssAnonBytes: memory.residentAnonymousByteCount,
      rssFileBytes: memory.residentFileByteCount, pssBytes: memory.proportionalByteCount,
      sessionPeakBytes: session.peakByteCount, sessionLimitBytes: session.byteCountMax)
  }
}

extension RunOutput {
  /// Writes the list of each token's candidates, one by one.
  static func writeCandidates(
    _ lists: [[TokenLogProbability]], _ write: (String) throws -> Void
  ) throws {
    try write("[")
    for (position, list) in lists.enumerated() {
      try write(position == 0 ? "[" : ",[")
      for (index, candidate) in list.enumerated() {
        try write(
          "\(index == 0 ? "" : ","){\"id\":\(candidate.id),\"logit\":\(jsonText(of: candidate.logit)),\"logprob\":\(jsonText(of: candidate.logprob))}")
      }
      try write("]")
    }
    try write("]")
  }
}

/// A duration as a number of seconds.
func seconds(_ duration: Duration) -> Double {
  Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}
