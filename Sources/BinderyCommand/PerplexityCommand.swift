import ArgumentParser
import Bindery
import Foundation

struct PerplexityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity", abstract: "Scores a text: one context, each token from all before it.",
    discussion: "The first token cannot be scored. Perplexity is e to the mean negative log-likelihood of the others.")

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Argument(help: "A text file; - is standard input.")
  var file: String

  @Option(parsing: .unconditional, help: "Use the first n tokens of the text, BOS included (default: as many as the context holds).")
  var maxTokens: Int?

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  @OptionGroup var options: ModelOptions

  struct Output: Encodable {
    let tokenCount: Int
    let meanNll: Double
    let perplexity: Double
  }

  func validate() throws {
    if let maxTokens, maxTokens < 2 { throw ValidationError("--max-tokens must be at least 2, found \(maxTokens)") }
  }

  func run() throws {
    // One time limit and one cancellation for everything.
    let cancellation = Cancellation()
    let interruption = Interruption(timeout: options.timeout) { cancellation.cancel() }
    defer { interruption.end() }
    let (count, scores): (Int, [Double])
    do {
      let model = try options.open(model, host: try options.makeHost())
      let text = try readText(file, isStopped: { interruption.isOver })
      let session = try failing { () throws(BinderyError) in
        try model.makeSession(SessionLimits(timeLimit: interruption.remainingTime), cancellation: cancellation)
      }
      (count, scores) = try failing { () throws(BinderyError) in
        let tokens = Array(try model.encode(text, isStopped: { interruption.isOver }).prefix(maxTokens ?? session.contextLength))
        guard tokens.count >= 2 else {
          throw BinderyError(
            .malformedInput, "'\(file)' gives \(tokens.count) tokens: at least 2 are needed to score one from another")
        }
        return (tokens.count, try session.negativeLogLikelihoods(
          of: tokens, timeLimit: interruption.remainingTime, cancellation: cancellation))
      }
      if let failure = interruption.failure { throw failure }
    } catch {
      throw interruption.failure ?? error
    }
    let mean = scores.reduce(0, +) / Double(scores.count)
    guard !mean.isNaN else { throw CommandFailure("the text has no perplexity: the model program gave logits that are not numbers") }
    let output = Output(tokenCount: count, meanNll: mean, perplexity: exp(mean))
    if json { return try printJSON(output) }
    try standardOutput(
      String(
        format: "%d tokens, mean negative log-likelihood %.5f, perplexity %.4f\n", output.tokenCount, output.meanNll,
        output.perplexity))
  }
}
