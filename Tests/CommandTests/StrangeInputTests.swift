import Foundation
import Testing
import _TestSupport

/// Inputs by which people who had not written the command made it hang, spend too much, or speak in its insides.
@Suite("Strange inputs of the command")
struct StrangeInputTests {
  private static let model = "models/tiny-stories-1m"
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ text: String, _ name: String) throws -> String { try folder.write(Array(text.utf8), to: name) }

  @Test("inspect shows a name of 100 000 letters, and does not pad every other line for it")
  func longNames() throws {
    let name = String(repeating: "a", count: 100_000)
    let path = try write("(module (func $f) (export \"\(name)\" (func $f)) (export \"b\" (func $f)))", "long.wat")
    let start = ContinuousClock.now
    let result = try BinderyExecutable.run(["inspect", path])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains(name) && result.output.utf8.count < 110_000)
    // It took minutes.
    #expect(ContinuousClock.now - start < .seconds(20))
    #expect(!result.output.split(separator: "\n").contains { $0.hasSuffix(" ") })
  }

  @Test("inspect reads a text that begins with blanks, and one of nothing else", arguments: ["\(String(repeating: "\n", count: 500))(module)", "  \n"])
  func blanks(text: String) throws {
    let result = try BinderyExecutable.run(["inspect", try write(text, "blank.wat")])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("inspect does not wait for a pipe that a bundle names as its weights")
  func pipeInBundle() throws {
    let file = #"{"path": "w.gguf", "role": "weights", "byte_count": 10, "sha256": "\#(String(repeating: "0", count: 64))"}"#
    _ = try write(#"{"name": "p", "title": "p", "family": "llama", "license": "MIT", "files": [\#(file)]}"#, "bundle.json")
    #expect(mkfifo(folder.url.appending(path: "w.gguf").path, 0o600) == 0)
    let result = try BinderyExecutable.run(["inspect", folder.url.path]) { process in
      // Ends what should have ended by itself.
      let end = ContinuousClock.now + .seconds(20)
      while process.isRunning, ContinuousClock.now < end { Thread.sleep(forTimeInterval: 0.05) }
      if process.isRunning { process.terminate() }
    }
    #expect(result.status == 1 && result.errors.contains("w.gguf"), "\(result.status): \(result.errors)")
  }

  @Test("exec ends by its time limit and by signals though nobody reads what its module writes", arguments: [SIGINT, SIGTERM, 0])
  func floodedErrors(signal: Int32) throws {
    let path = try write(
      """
      (module
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1024)
        (func (export "_start")
          (i32.store (i32.const 4) (i32.const 67000000))
          (loop $l (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 67108000))) (br $l))))
      """, "flood.wat")
    let process = Process()
    process.executableURL = BinderyExecutable.url
    process.arguments = ["exec", "--timeout", signal == 0 ? "1" : "60", path]
    process.standardOutput = FileHandle.nullDevice
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    defer { withExtendedLifetime(errors) {} }
    if signal != 0 {
      Thread.sleep(forTimeInterval: 1)
      kill(process.processIdentifier, signal)
    }
    let end = ContinuousClock.now + .seconds(20)
    while process.isRunning, ContinuousClock.now < end { Thread.sleep(forTimeInterval: 0.05) }
    #expect(!process.isRunning)
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == (signal == 0 ? 124 : 128 + signal))
  }

  @Test("a length that no context holds is refused by bench llm before anything is made of it")
  func hugeMeasurements() throws {
    for lengths in [["--prefill", "\(Int.max)", "--decode", "1"], ["--prefill", "1", "--decode", "\(Int.max)"], ["--prefill", "513"]] {
      let result = try BinderyExecutable.run(["bench", "llm", Self.model, "--rounds", "1"] + lengths)
      #expect(result.status == 1 && result.errors.contains("context"), "\(lengths): \(result.errors)")
    }
  }

  @Test("logits that are no finite numbers are texts in JSON", arguments: ["inf", "-inf"])
  func infiniteLogits(value: String) throws {
    let program = HostileProgram(bodies: [
      "forward": """
        (loop $l
          (f32.store $scratch (i64.add (i64.const 1048576) (local.get $i)) (f32.const \(value)))
          (br_if $l (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 4))) (i64.const 2048))))
        (i64.const 1048576)
        """
    ])
    let path = try write(program.text, "infinite.wat")
    let result = try BinderyExecutable.run([
      "run", Self.model, "--prompt", "hi", "--max-tokens", "2", "--json", "--top-logprobs", "1024", "--program", path,
    ])
    #expect(!result.errors.contains("EncodingError"), "\(result.errors)")
    guard result.status == 0 else {
      #expect(result.errors.hasPrefix("bindery: "), "\(result.errors)")
      return
    }
    let candidates = try #require((result.json?["top_logprobs"] as? [[[String: Any]]])?.first)
    #expect(candidates.contains { $0["logit"] as? String == value }, "\(result.output.prefix(500))")
  }

  @Test("a wrong option behind the module is wrong usage, in the words of the one before it")
  func optionsBehindTheModule() throws {
    let path = try write("(module (func (export \"f\") (param i32)))", "f.wat")
    for wrong in [["--timeout", "nope"], ["--timeout", "1e9"], ["--memory-limit", "x"], ["--fuel=-5"], ["--env", "X"], ["--timeout"]] {
      let behind = try BinderyExecutable.run(["exec", path] + wrong + ["--invoke", "f", "1"])
      #expect(behind.status == 64 && !behind.errors.contains("CommandError"), "\(wrong): \(behind.status) \(behind.errors)")
    }
    let twice = try BinderyExecutable.run(["exec", path, "--invoke", "f", "--invoke", "f", "1"])
    #expect(twice.status == 64 && twice.errors.contains("twice"), "\(twice.errors)")
    #expect(try BinderyExecutable.run(["exec", path, "--invoke", "f", "0x-5"]).status == 1)
  }

  @Test("names of files reach the terminal escaped")
  func fileNames() throws {
    let module = try write("(module)", "ff\u{1B}[31m.wat")
    let valid = try BinderyExecutable.run(["validate", module])
    #expect(valid.status == 0 && !valid.output.utf8.contains(0x1B), "\(valid.output.debugDescription)")
    let script = try write("(module) (assert_invalid (module) \"x\")", "ff\u{1B}[31m.wast")
    let failed = try BinderyExecutable.run(["wast", script])
    #expect(failed.status == 1 && !failed.output.utf8.contains(0x1B) && !failed.errors.utf8.contains(0x1B))
  }

  @Test(
    "a script in JSON that cannot be read has a sentence",
    arguments: ["", "null", String(repeating: "[", count: 100_000), #"{"commands": [{"type": "module", "line": 7, "filename": "none.wasm"}]}"#])
  func jsonScripts(text: String) throws {
    let result = try BinderyExecutable.run(["wast", try write(text, "script.json")])
    #expect(result.status == 1 && !result.wasSignalled)
    #expect(!result.output.contains("NSCocoaErrorDomain") && !result.output.contains("UserInfo"), "\(result.output.prefix(300))")
    if text.contains("none.wasm") { #expect(result.output.contains(":7: ")) }
  }
}
