import Foundation
import Testing
import _TestSupport

/// Where a prompt comes from, and what option values may look like.
@Suite("Prompts and options of run")
struct RunInputTests {
  private static let run = "$B run models/tiny-stories-1m --max-tokens 4 --json"

  private func ids(_ line: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [Int] {
    let result = try BinderyExecutable.shell(line)
    #expect(result.status == 0, "\(result.errors)", sourceLocation: sourceLocation)
    return try #require(result.json?["prompt_token_ids"] as? [Int], sourceLocation: sourceLocation)
  }

  @Test("the same prompt from everywhere, without the line break at the end of a file", arguments: [
    "-p 'Once upon'", "--prompt='Once upon'", "-f <(echo Once upon)", "--prompt-file <(printf 'Once upon')", "-f - <<< 'Once upon'",
    "--prompt-file /dev/stdin <<< 'Once upon'", "<<< 'Once upon'", "< <(printf 'Once upon\\r\\n')", "-f <(sleep 0.2; echo Once upon)",
  ])
  func sources(source: String) throws {
    #expect(try ids("\(Self.run) \(source)") == ids("\(Self.run) --prompt 'Once upon'"))
  }

  @Test("only one line break is left out")
  func lineBreaks() throws {
    #expect(try ids("\(Self.run) -f <(printf 'Once\\n\\n')") == ids("\(Self.run) --prompt $'Once\\n'"))
    #expect(try ids("\(Self.run) -f <(printf '\\nOnce')") == ids("\(Self.run) --prompt $'\\nOnce'"))
  }

  @Test("values may begin with a dash", arguments: [
    "--prompt '-5 degrees'", "-p --chat", "-p -- ", "-p x --seed -1", "-p x -s -9223372036854775808", "-p x --seed 18446744073709551615",
    "-p x --stop -", "-p x --stop --json", "--chat -p x --system -brief", "-t 1 -n 2 -p x",
  ])
  func dashes(options: String) throws { #expect(try !ids("\(Self.run) \(options)").isEmpty) }

  @Test("a prompt is needed, once", arguments: [
    "", "< /dev/null", "<&-", "-p a -f b", "-p x --seed 1.5", "-p x --seed 18446744073709551616", "-p x -n 0", "-p x -n -5", "-p x -t 0",
  ])
  func wrongUsage(options: String) throws {
    let result = try BinderyExecutable.shell("\(Self.run) \(options)")
    #expect(result.status == 64 && result.output.isEmpty && !result.wasSignalled, "\(result.errors)")
  }

  @Test("text that is not UTF-8 is an error of its own, wherever it comes from", arguments: [
    "-p $'a\\xff'", "-f <(printf 'a\\xff')", "< <(printf '\\xc3')", "--system $'\\xed\\xa0\\x80' --chat -p x",
  ])
  func invalidText(options: String) throws {
    let result = try BinderyExecutable.shell("\(Self.run) \(options)")
    #expect(result.status == 1 && result.errors.contains("UTF-8") && result.errorLines.count == 1, "\(result.errors)")
  }

  @Test("perplexity and tokenize read pipes as well")
  func otherCommands() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Array("The cat sat on the mat.".utf8), to: "text")
    let file = try BinderyExecutable.shell("$B perplexity models/tiny-stories-1m \(path)")
    for source in ["<(cat \(path))", "- < \(path)", "/dev/stdin < \(path)"] {
      #expect(try BinderyExecutable.shell("$B perplexity models/tiny-stories-1m \(source)").output == file.output)
    }
    #expect(file.status == 0)
    let dash = try BinderyExecutable.shell("$B tokenize models/tiny-stories-1m --text '-5 degrees' --json")
    #expect(dash.status == 0 && dash.json?["ids"] is [Int], "\(dash.errors)")
  }

  @Test("--quiet leaves standard error empty; an answer that is cut says so")
  func quiet() throws {
    let run = "$B run models/tiny-stories-1m -p Once -n 3"
    let spoken = try BinderyExecutable.shell(run)
    let quiet = try BinderyExecutable.shell("\(run) --quiet")
    #expect(quiet.errors.isEmpty && quiet.output == spoken.output && quiet.status == 0)
    #expect(spoken.errors.contains("cut by --max-tokens"))
  }
}
