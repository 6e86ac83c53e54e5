import Foundation
import SystemFiles
import Testing
import _TestSupport

/// `--sandbox` of `run` and `exec`, as users give it. What the sandbox itself refuses is in SandboxTests.
@Suite("Commands in the sandbox", .enabled(if: Sandbox.landlockVersion != nil, "this kernel has no Landlock"))
struct SandboxCommandTests {
  private func fixture(_ name: String) -> String { Repository.fixture("wasi/\(name).wasm").path }

  @Test("run gives the same answer", arguments: ["native", "wasm"], [1, 2])
  func run(kernels: String, threads: Int) throws {
    // A prompt of many tokens, so that products are large.
    let prompt = String(repeating: "Once upon a time there was a little cat. ", count: 8)
    let arguments = [
      "run", "models/tiny-stories-1m", "--prompt", prompt, "--max-tokens", "12", "--kernels", kernels, "--threads", "\(threads)", "--json",
    ]
    let outside = try BinderyExecutable.run(arguments)
    let inside = try BinderyExecutable.run(arguments + ["--sandbox"])
    #expect(outside.status == 0 && inside.status == 0, "\(inside)")
    #expect(inside.json?["text"] as? String == outside.json?["text"] as? String)
    #expect((inside.json?["token_ids"] as? [Int])?.count == 12)
    // The report reads /proc.
    let memory = try #require(inside.json?["memory"] as? [String: Any])
    #expect(memory["rss_anon_bytes"] as? Int ?? 0 > 0)
  }

  @Test("run takes a model through links, a program, and a prompt from a file")
  func runFiles() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let model = Repository.path("models/tiny-stories-1m").path
    for name in try FileManager.default.contentsOfDirectory(atPath: model) {
      try FileManager.default.createSymbolicLink(
        atPath: folder.url.appending(path: name).path, withDestinationPath: "\(model)/\(name)")
    }
    let prompt = try folder.write(Array("Once".utf8), to: "prompt.txt")
    let arguments = ["--max-tokens", "3", "--program", "models/programs/llama.wasm", "--prompt-file", prompt]
    let outside = try BinderyExecutable.run(["run", model] + arguments)
    let inside = try BinderyExecutable.run(["run", folder.url.path, "--sandbox"] + arguments)
    #expect(inside.status == 0 && inside.output == outside.output, "\(inside)")
    let missing = try BinderyExecutable.run(["run", model, "--sandbox", "--prompt-file", "/nowhere/prompt"])
    #expect(missing.status == 1 && missing.errors.contains("--sandbox cannot be kept: '/nowhere/prompt' cannot be opened"), "\(missing)")
  }

  @Test(
    "exec gives the same output, with and without a folder",
    arguments: ["hello", "files", "directories", "links", "times", "clocks", "buffers", "allocation", "floats", "random"])
  func exec(program: String) throws {
    let expected = try String(contentsOf: Repository.fixture("wasi/\(program).txt"), encoding: .utf8)
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let plain = try TemporaryFolder()
    defer { withExtendedLifetime(plain) {} }
    let outside = try BinderyExecutable.run(["exec", "--dir", "/=\(plain.url.path)", fixture(program)], input: "input\n")
    let inside = try BinderyExecutable.run(["exec", "--sandbox", "--dir", "/=\(folder.url.path)", fixture(program)], input: "input\n")
    #expect(inside.status == outside.status && inside.output == outside.output && !expected.isEmpty, "\(inside)")
    #expect(inside.errors == outside.errors)
  }

  @Test("exec takes --sandbox behind the module too, and refuses a folder that is not there")
  func options() throws {
    // Its own status, for want of arguments, is 1.
    #expect(try BinderyExecutable.run(["exec", fixture("hello"), "--sandbox"]).output.contains("0 arguments"))
    let result = try BinderyExecutable.run(["exec", "--sandbox", "--dir", "/nowhere", fixture("hello")])
    #expect(result.status == 1 && result.errors.contains("--sandbox cannot be kept: '/nowhere' cannot be opened"), "\(result)")
    let piped = try BinderyExecutable.run(
      ["exec", "-", "--sandbox", "--invoke", "f"], input: "(module (func (export \"f\") (result i32) (i32.const 7)))")
    #expect(piped.status == 0 && piped.output == "7\n", "\(piped)")
  }

  @Test("every thread of the process is held", arguments: ["exec", "run"])
  func threads(command: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let endless = try folder.write(Array("(module (func (export \"f\") (loop (br 0))))".utf8), to: "endless.wat")
    let arguments =
      command == "exec"
      ? ["exec", endless, "--sandbox", "--timeout", "30", "--invoke", "f"]
      : ["run", "models/tiny-stories-1m", "--sandbox", "--prompt", "Once", "--max-tokens", "100000", "--threads", "4", "--timeout", "30"]
    var seen: [String] = []
    let result = try BinderyExecutable.run(arguments) { process in
      // Until the threads are there: the main one, and at least one more.
      for _ in 0..<400 where process.isRunning {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processIdentifier)/task")) ?? []
        let states = tasks.compactMap { try? String(contentsOfFile: "/proc/\(process.processIdentifier)/task/\($0)/status", encoding: .utf8) }
        if states.count >= 2, states.contains(where: { $0.contains("Seccomp:\t2") }) {
          seen = states
          break
        }
        usleep(25_000)
      }
      process.terminate()
    }
    #expect(seen.count >= 2, "\(result)")
    for state in seen { #expect(state.contains("NoNewPrivs:\t1") && state.contains("Seccomp:\t2"), "\(state)") }
  }
}
