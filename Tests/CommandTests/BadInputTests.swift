import Foundation
import Testing
import _TestSupport

/// Bad input of every kind ends in one sentence and exit status 1 (the work failed) or 64 (wrong usage); never in a crash.
@Suite("Bad input to the command")
struct BadInputTests {
  static let tiny = "models/tiny-stories-1m"
  static let tinyFile = Repository.path("models/tiny-stories-1m/tiny-stories-1m.gguf")

  /// Runs the command and expects one sentence that holds all of `words`.
  private func expectFailure(
    _ arguments: [String], status: Int32 = 1, words: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try BinderyExecutable.run(arguments)
    #expect(!result.wasSignalled, "crashed: \(result.errors)", sourceLocation: sourceLocation)
    #expect(result.status == status, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, "standard output must stay empty", sourceLocation: sourceLocation)
    if status == 1 {
      #expect(result.errorLines.count == 1, "one sentence, found:\n\(result.errors)", sourceLocation: sourceLocation)
    }
    for word in words {
      #expect(result.errors.contains(word), "'\(word)' is missing in: \(result.errors)", sourceLocation: sourceLocation)
    }
  }

  private func runs(_ path: String) -> [String] { ["run", path, "--prompt", "Hello", "--max-tokens", "4"] }

  // MARK: Weight files

  @Test("a weight file that is missing")
  func missingFile() throws {
    try expectFailure(runs("no-such-file.gguf"), words: ["no-such-file.gguf"])
    try expectFailure(["inspect", "no-such-file.gguf"], words: ["no-such-file.gguf"])
  }

  @Test("a bundle whose weights were not fetched says how to fetch them")
  func missingBundleFile() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let manifest = try Data(contentsOf: Repository.path("models/smollm2-135m-instruct/bundle.json"))
    _ = try folder.write([UInt8](manifest), to: "bundle.json")
    try expectFailure(runs(folder.url.path), words: ["bindery fetch"])
  }

  @Test("a GGUF file cut off anywhere", arguments: [3, 8, 23, 24, 500, 20_000, 60_000, 868_000])
  func truncated(length: Int) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let bytes = [UInt8](try Data(contentsOf: Self.tinyFile))
    let path = try folder.write(Array(bytes.prefix(length)), to: "cut.gguf")
    try expectFailure(runs(path), words: ["cut.gguf"])
    try expectFailure(["inspect", path], words: ["cut.gguf"])
  }

  @Test("a GGUF file whose tensor count lies")
  func lyingTensorCount() throws {
    try expectFailureOfPatched("count.gguf", at: 8, UInt64.max)
    try expectFailureOfPatched("count.gguf", at: 8, 1 << 40)
  }

  @Test("a GGUF file whose metadata count lies")
  func lyingMetadataCount() throws { try expectFailureOfPatched("metadata.gguf", at: 16, UInt64.max >> 1) }

  @Test("a GGUF file whose tensor offset lies beyond the file")
  func lyingOffset() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    var file = GGUFBytes()
    file.add("general.architecture", "llama")
    file.tensors = [.init("token_embd.weight", dimensions: [32, 4], type: 0, offset: 1 << 40)]
    file.data = [UInt8](repeating: 0, count: 512)
    let path = try folder.write(file.bytes, to: "offset.gguf")
    try expectFailure(runs(path), words: ["offset.gguf", "token_embd.weight"])
  }

  private func expectFailureOfPatched(_ name: String, at offset: Int, _ value: UInt64) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    var bytes = [UInt8](try Data(contentsOf: Self.tinyFile))
    for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    try expectFailure(runs(try folder.write(bytes, to: name)), words: [name])
  }

  @Test("a file that is no weight file")
  func wrongFormat() throws {
    try expectFailure(runs("README.md"), words: ["README.md"])
    try expectFailure(["inspect", "README.md"], words: ["README.md", "GGUF"])
    try expectFailure(runs("Sources"), words: ["Sources"])
  }

  @Test("an architecture that no program is known for")
  func unknownArchitecture() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    var file = GGUFBytes()
    file.add("general.architecture", "perceptron-xl")
    file.tensors = [.init("w", dimensions: [32], type: 0, offset: 0)]
    file.data = [UInt8](repeating: 0, count: 128)
    let path = try folder.write(file.bytes, to: "unknown.gguf")
    try expectFailure(runs(path), words: ["perceptron-xl", "llama"])
  }

  // MARK: Modules

  @Test("a program that is no WebAssembly, or has the wrong signature")
  func wrongProgram() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let text = try folder.write(Array("hello".utf8), to: "text.wasm")
    try expectFailure(runs(Self.tiny) + ["--program", text], words: ["text.wasm"])
    try expectFailure(["inspect", text], words: ["text.wasm"])
    try expectFailure(["exec", text, "--invoke", "f"], words: ["text.wasm"])
    // (module (func (export "program_abi") (result i64) (i64.const 1))): the name is right, the type is not.
    let wrong: [UInt8] = [
      0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7E, 0x03, 0x02, 0x01, 0x00, 0x07, 0x0F, 0x01,
      0x0B,
    ] + Array("program_abi".utf8) + [0x00, 0x00, 0x0A, 0x06, 0x01, 0x04, 0x00, 0x42, 0x01, 0x0B]
    let path = try folder.write(wrong, to: "wrong.wasm")
    try expectFailure(runs(Self.tiny) + ["--program", path], words: ["wrong.wasm"])
  }

  @Test("a module cut off in the middle has an offset in its error")
  func truncatedModule() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let bytes = [UInt8](try Data(contentsOf: Repository.path("models/programs/llama.wasm")))
    let path = try folder.write(Array(bytes.prefix(bytes.count / 2)), to: "half.wasm")
    try expectFailure(["inspect", path], words: ["half.wasm", "at byte"])
    try expectFailure(["lower", path, "-o", folder.url.appending(path: "out.wasm").path], words: ["half.wasm"])
  }

  @Test("modules that trap, or do not have what was asked for")
  func wrongExec() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    // (module (func (export "f") (param i32) (result i32) unreachable))
    let module: [UInt8] =
      [0, 0x61, 0x73, 0x6D, 1, 0, 0, 0] + [1, 6, 1, 0x60, 1, 0x7F, 1, 0x7F] + [3, 2, 1, 0] + [7, 5, 1, 1, 0x66, 0, 0]
      + [10, 5, 1, 3, 0, 0x00, 0x0B]
    let path = try folder.write(module, to: "m.wasm")
    try expectFailure(["exec", path, "--invoke", "g"], words: ["exports no function 'g'"])
    try expectFailure(["exec", path, "--invoke", "f"], words: ["expected 1 arguments, found 0"])
    try expectFailure(["exec", path, "--invoke", "f", "x"], words: ["'x' cannot be"])
    try expectFailure(["exec", path], words: ["_start"])
    let trapped = try BinderyExecutable.run(["exec", path, "--invoke", "f", "1"])
    #expect(trapped.status == 1 && trapped.errors.contains("unreachable"))
  }

  // MARK: Requests

  @Test("a prompt that is empty or not text, and a list that is none")
  func wrongTexts() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    try expectFailure(["run", Self.tiny, "--prompt", ""], words: ["empty"])
    let binary = try folder.write([0xFF, 0xFE, 0x00], to: "binary.txt")
    try expectFailure(["run", Self.tiny, "--prompt-file", binary], words: ["UTF-8"])
    let object = try folder.write(Array("{\"a\": 1}".utf8), to: "object.json")
    try expectFailure(["tokenize", Self.tiny, "--input-file", object], words: ["JSON list"])
  }

  @Test("a prompt that is longer than the context")
  func longPrompt() throws {
    let prompt = String(repeating: "The cat sat on the mat and looked at the moon. ", count: 120)
    try expectFailure(["run", Self.tiny, "--prompt", prompt], words: ["512"])
  }

  @Test("wrong options", arguments: [
    ["--threads", "0"], ["--threads", "-3"], ["--threads", "many"], ["--kernels", "gpu"], ["--weights", "load"], ["--max-tokens", "0"],
    ["--temperature", "-1"], ["--top-p", "2"], ["--timeout", "0"], ["--no-such-option"],
  ])
  func wrongOptions(options: [String]) throws {
    try expectFailure(["run", Self.tiny, "--prompt", "x"] + options, status: 64, words: [String(options[0].dropFirst(2))])
  }

  @Test("wrong usage")
  func wrongUsage() throws {
    try expectFailure(["run"], status: 64, words: ["model"])
    try expectFailure(["run", Self.tiny], status: 64, words: ["--prompt"])
    try expectFailure(["frobnicate"], status: 64, words: ["frobnicate"])
    try expectFailure(["run", Self.tiny, "--prompt-file", "no-such-prompt.txt"], words: ["no-such-prompt.txt"])
    try expectFailure(["fetch", "no-such-bundle"], words: ["no-such-bundle"])
    try expectFailure(["perplexity", Self.tiny, "no-such-text.txt"], words: ["no-such-text.txt"])
  }

  @Test("a memory limit that is too small for the model")
  func memoryLimit() throws {
    try expectFailure(runs(Self.tiny) + ["--memory-limit", "65536"], words: ["memory"])
  }
}
