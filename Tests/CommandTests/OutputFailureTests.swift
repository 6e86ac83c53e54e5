import Foundation
import Testing
import _TestSupport

/// Output that does not arrive: a full disk, a closed stream, a reader that has left. Every command, one rule.
@Suite("Output that fails")
struct OutputFailureTests {
  static let model = "models/tiny-stories-1m"
  static let module = "models/programs/llama.wasm"
  static let text = "(module (func (export \"f\") (result i32) (i32.const 42)))"

  /// Commands that succeed and print something on standard output.
  static let commands = [
    "$B run \(model) --prompt Once --max-tokens 3",
    "$B run \(model) --prompt Once --max-tokens 3 --json",
    "$B run \(model) -p Once -n 3 --quiet",
    "$B inspect \(model)", "$B inspect \(model) --json", "$B inspect \(module)", "$B inspect \(module) --json",
    "$B tokenize \(model) --text 'A cat.'", "$B tokenize \(model) --text 'A cat.' --json",
    "$B tokenize \(model) --input-file <(echo '[\"a\", \"b\"]')",
    "$B perplexity \(model) README.md --max-tokens 20",
    "$B exec <(echo '\(text)') --invoke f", "$B exec <(echo '\(text)') --invoke f --json",
    "$B validate \(module)", "$B validate \(module) --json",
    "$B wast <(echo '\(text)')",
    "$B wat2wasm <(echo '\(text)')", "$B wasm2wat \(module)",
    "$B wat2wasm <(echo '\(text)') -o /dev/stdout",
    "$B help run", "$B --help", "$B --version", "$B exec --help", "$B --generate-completion-script bash",
  ]

  private func expectOneSentence(
    _ result: BinderyExecutable.Result, words: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(!result.wasSignalled && result.status == 1, "\(result.status): \(result.errors)", sourceLocation: sourceLocation)
    #expect(result.errorLines.count == 1, "one sentence, found:\n\(result.errors)", sourceLocation: sourceLocation)
    for word in words { #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: sourceLocation) }
  }

  @Test("a full disk", .enabled(if: FileManager.default.fileExists(atPath: "/dev/full")), arguments: commands)
  func fullDisk(command: String) throws {
    expectOneSentence(try BinderyExecutable.shell("exec \(command) > /dev/full"), words: ["No space left on device"])
  }

  @Test("a closed standard output", arguments: commands)
  func closed(command: String) throws {
    expectOneSentence(try BinderyExecutable.shell("exec \(command) >&-"), words: ["Bad file descriptor"])
  }

  @Test("a reader that has left: no sentence, and no success", arguments: commands)
  func brokenPipe(command: String) throws {
    // The reader is gone before the command begins.
    let result = try BinderyExecutable.shell("{ sleep 0.1; \(command); echo $? >&3; } 3>&2 | true")
    #expect(result.errors == "1\n", "\(result.errors)")
  }

  @Test("a closed standard error: the result arrives; a success that had something to say there is none")
  func closedError() throws {
    let command = "$B run \(Self.model) --prompt Once --max-tokens 3"
    let whole = try BinderyExecutable.shell(command)
    for place in ["2>&-", "2>/dev/full"] {
      let result = try BinderyExecutable.shell("\(command) \(place)")
      #expect(result.status == 1 && !result.wasSignalled && result.output == whole.output, "\(place)")
      let json = try BinderyExecutable.shell("\(command) --json \(place)")
      #expect(json.status == 0 && json.json?["token_ids"] is [Int], "\(place)")
      let quiet = try BinderyExecutable.shell("\(command) --quiet \(place)")
      #expect(quiet.status == 0 && quiet.output == whole.output, "\(place)")
      let usage = try BinderyExecutable.shell("$B frobnicate \(place)")
      #expect(usage.status == 64 && !usage.wasSignalled, "\(place)")
      let failure = try BinderyExecutable.shell("$B inspect no-such-file \(place)")
      #expect(failure.status == 1 && !failure.wasSignalled && failure.output.isEmpty, "\(place)")
    }
  }

  @Test("everything closed: still a status", arguments: commands)
  func allClosed(command: String) throws {
    let result = try BinderyExecutable.shell("exec \(command) <&- >&- 2>&-")
    #expect(result.status == 1 && !result.wasSignalled, "\(result.status)")
  }

  @Test("files that are opened while streams are closed do not become those streams")
  func descriptorsAreNotReused() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let target = folder.url.appending(path: "out.wasm").path
    let result = try BinderyExecutable.shell("$B wat2wasm <(echo '\(Self.text)') -o \(target) >&- 2>&-")
    #expect(result.status == 0)
    let expected = try BinderyExecutable.shell("$B wat2wasm <(echo '\(Self.text)') | od -An -tx1")
    #expect(try BinderyExecutable.shell("od -An -tx1 \(target)").output == expected.output)
  }

  // MARK: Files

  @Test("a file that cannot be written is left as it was, and nothing else is left", arguments: ["lower", "wat2wasm", "wasm2wat"])
  func files(command: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let input = command == "wat2wasm" ? "<(echo '\(Self.text)')" : Self.module
    _ = try folder.write(Array("old".utf8), to: "out")
    let path = folder.url.appending(path: "out").path
    // Files of this process may not grow beyond no byte at all: every write fails, as on a full disk.
    let result = try BinderyExecutable.shell("(ulimit -f 0; exec $B \(command) \(input) -o \(path) 2>&1) | cat >&2; exit ${PIPESTATUS[0]}")
    expectOneSentence(result, words: ["cannot write '\(path)'", "File too large"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["out"])
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    for (target, words) in [("/dev/full", "No space left"), ("\(path)/x", "cannot write"), ("/no/such/folder/x", "there is no folder")] {
      let failed = try BinderyExecutable.shell("$B \(command) \(input) -o \(target)")
      expectOneSentence(failed, words: [words])
    }
    let good = try BinderyExecutable.shell("$B \(command) \(input) -o \(path)")
    #expect(good.status == 0 && good.output.isEmpty, "\(good.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["out"])
    #expect(try Data(contentsOf: URL(filePath: path)) != Data("old".utf8))
  }
}
