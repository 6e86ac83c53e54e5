import Foundation
import Testing
import _TestSupport

/// Limits of `bindery run`, as users meet them: exit statuses, what is printed, and that it is over in time.
@Suite("Limits of run", .serialized)
struct RunLimitTests {
  private static let model = "models/tiny-stories-1m"
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a hostile program.
  private func run(_ program: HostileProgram, _ arguments: String..., during: ((Process) -> Void)? = nil) throws -> (
    BinderyExecutable.Result, Duration
  ) {
    let text = try folder.write(Array(program.text.utf8), to: "program.wat")
    let path = folder.url.appending(path: "program.wasm").path
    let translated = try BinderyExecutable.run(["wat2wasm", text, "-o", path])
    #expect(translated.status == 0, "\(translated.errors)")
    let start = ContinuousClock.now
    let result = try BinderyExecutable.run(
      ["run", Self.model, "--prompt", "hi", "--max-tokens", "2", "--program", path] + arguments, during: during)
    #expect(!result.wasSignalled)
    #expect(!result.errors.contains("Fatal error") && !result.errors.contains("Stack dump"), "\(result.errors)")
    return (result, ContinuousClock.now - start)
  }

  @Test(
    "--timeout ends a program wherever it hangs, with status 124",
    arguments: ["start", "program_abi", "configure", "sequence_open", "pass_begin", "forward"])
  func timeout(export: String) throws {
    var program =
      export == "start"
      ? HostileProgram(fields: "(func $start \(HostileProgram.endless)) (start $start)") : HostileProgram(endlessIn: export)
    program.bodies["sequence_close"] = HostileProgram.endless + " (i32.const 0)"
    for kernels in ["native", "wasm"] {
      let (result, duration) = try run(program, "--timeout", "0.5", "--threads", kernels == "wasm" ? "2" : "1", "--kernels", kernels)
      #expect(result.status == 124, "\(result.errors)")
      #expect(result.errors.contains("--timeout") || result.errors.contains("deadline"), "\(result.errors)")
      #expect(duration < .seconds(10))
    }
  }

  @Test("Ctrl-C ends with status 130, SIGTERM with 143, while a session is made and while it generates", arguments: ["configure", "forward"])
  func signals(export: String) throws {
    for (signal, status) in [(SIGINT, Int32(130)), (SIGTERM, 143)] {
      let (result, duration) = try run(HostileProgram(endlessIn: export)) { process in
        Thread.sleep(forTimeInterval: 0.7)
        kill(process.processIdentifier, signal)
      }
      #expect(result.status == status, "\(result.errors)")
      #expect(duration < .seconds(10))
    }
  }

  @Test("what was generated before the limit is printed, as text and as JSON")
  func partialText() throws {
    let long = ["run", Self.model, "--prompt", "Once upon a time", "--max-tokens", "100000", "--temperature", "4", "--kernels", "wasm"]
    let text = try BinderyExecutable.run(long + ["--timeout", "0.8"])
    #expect(text.status == 124 || text.status == 0, "\(text.errors)")
    if text.status == 124 { #expect(!text.output.isEmpty && text.errors.contains("cancelled")) }
    let json = try BinderyExecutable.run(long + ["--timeout", "0.8", "--json"])
    // Where it was not cut, the model came to an end of its own.
    let reasons = json.status == 124 ? ["cancelled"] : ["stop", "length"]
    #expect(reasons.contains(json.json?["finish_reason"] as? String ?? ""), "\(json.output)")
    #expect((json.json?["text"] as? String)?.isEmpty == false)
  }

  @Test("--memory-limit is the sum of all memories")
  func memoryLimit() throws {
    let memories = (0..<12).map { "(memory $m\($0) 1000)" }.joined()
    let (result, _) = try run(HostileProgram(fields: memories), "--memory-limit", "64000000")
    #expect(result.status == 1 && result.errors.contains("64000000"), "\(result.errors)")
    let (allowed, _) = try run(HostileProgram(fields: memories), "--memory-limit", "900000000")
    #expect(allowed.status == 0, "\(allowed.errors)")
    let help = try BinderyExecutable.run(["help", "run"])
    let words = help.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    #expect(words.contains("all its memories, tables and buffers together"), "\(help.output)")
  }

  @Test("an answer that reaches the memory limit is printed, and the status says that it is not whole")
  func longAnswer() throws {
    // As much as the beginning takes, found by trying: the first limit under which something is generated, but not all.
    for limit in stride(from: 400_000, through: 1_000_000, by: 50_000) {
      let result = try BinderyExecutable.run([
        "run", Self.model, "--prompt", "Once", "--max-tokens", "450", "--temperature", "1.5", "--repeat-penalty", "1.3", "--seed", "5", "--json",
        "--memory-limit", "\(limit)",
      ])
      #expect(!result.wasSignalled)
      guard let reason = result.json?["finish_reason"] as? String else { continue }
      guard reason == "memory_limit" else { continue }
      #expect(result.status == 1 && result.errors.contains("\(limit)"), "\(result.errors)")
      #expect((result.json?["text"] as? String)?.isEmpty == false)
      return
    }
    Issue.record("no limit ended an answer early")
  }

  @Test("more log-probabilities than tokens are all of them")
  func topLogProbabilities() throws {
    let result = try BinderyExecutable.run([
      "run", Self.model, "--prompt", "hi", "--max-tokens", "1", "--json", "--top-logprobs", "1000000000000",
    ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(((result.json?["top_logprobs"] as? [[Any]])?.first?.count ?? 0) > 1000)
  }

  @Test("what a program logs reaches the terminal escaped")
  func log() throws {
    let program = HostileProgram(
      fields: #"(data (memory $own) (i32.const 200) "\1b]0;pwned\07\1b[2J\1b[31mroot# ")"#,
      bodies: ["forward": "(call $log (i32.const 200) (i32.const 24)) (i64.const 1048576)"])
    let (result, _) = try run(program)
    #expect(result.status == 0 && !result.errors.utf8.contains(0x1B), "\(result.errors)")
    #expect(result.errors.contains(#"\u{1b}]0;pwned\u{7}"#))
  }

  @Test("a weight file that is cut while a program reads it: status 1, the file's name, and no crash",
    arguments: ["native", "wasm"], ["1", "2"])
  func lostWeights(kernels: String, threads: String) throws {
    let weights = folder.url.appending(path: "weights.gguf").path
    try FileManager.default.copyItem(atPath: Repository.path("\(Self.model)/tiny-stories-1m.gguf").path, toPath: weights)
    let handle = try FileHandle(forWritingTo: URL(filePath: weights))
    try handle.truncate(atOffset: 400_000_000)
    // Reads all of the file, again and again, without a call.
    let program = HostileProgram(bodies: [
      "forward":
        "(loop $again (local.set $i (i64.const 0)) (loop $l (i64.store $scratch (i64.const 0) (i64.load $weights (local.get $i))) (local.set $i (i64.add (local.get $i) (i64.const 4096))) (br_if $l (i64.lt_u (local.get $i) (i64.const 390000000)))) (br $again)) (i64.const 1048576)"
    ])
    let text = try folder.write(Array(program.text.utf8), to: "reader.wat")
    let path = folder.url.appending(path: "reader.wasm").path
    #expect(try BinderyExecutable.run(["wat2wasm", text, "-o", path]).status == 0)
    let result = try BinderyExecutable.run([
      "run", weights, "--prompt", "hi", "--max-tokens", "2", "--program", path, "--kernels", kernels, "--threads", threads, "--timeout", "60",
    ]) { _ in
      Thread.sleep(forTimeInterval: 0.7)
      try? handle.truncate(atOffset: 65_536)
    }
    #expect(result.status == 1 && !result.wasSignalled, "\(result.errors)")
    #expect(result.errors.contains("host mapping was lost") && result.errors.contains(weights), "\(result.errors)")
    #expect(result.errors.contains("shrank from 400000000 to 65536"))
  }
}
