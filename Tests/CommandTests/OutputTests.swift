import Foundation
import Testing
import _TestSupport

/// What the command prints when all is well: text for people, one JSON object for programs.
@Suite("Output of the command")
struct OutputTests {
  static let tiny = BadInputTests.tiny

  private func json(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: Any] {
    let result = try BinderyExecutable.run(arguments + ["--json"])
    #expect(result.status == 0, "\(result.errors)", sourceLocation: sourceLocation)
    return try #require(result.json, "no JSON object: \(result.output.prefix(200))", sourceLocation: sourceLocation)
  }

  @Test("run has the keys of the interface, and copies no weights")
  func runKeys() throws {
    let output = try json(["run", Self.tiny, "--prompt", "Once upon a time", "--max-tokens", "8", "--temperature", "0", "--top-logprobs", "10"])
    let ids = try #require(output["token_ids"] as? [Int])
    #expect((1...8).contains(ids.count))
    #expect(output["prompt_token_ids"] is [Int])
    #expect(output["text"] is String)
    #expect(["stop", "length"].contains(output["finish_reason"] as? String))
    let candidates = try #require(output["top_logprobs"] as? [[[String: Any]]])
    #expect(candidates.count == ids.count)
    #expect(candidates.allSatisfy { $0.count == 10 })
    // Greedy: the best candidate is the token.
    #expect(candidates.map { $0[0]["id"] as? Int } == ids)
    #expect((candidates[0][0]["logprob"] as? Double ?? 1) <= 0)
    #expect(candidates[0][0]["logit"] is Double)
    let timings = try #require(output["timings"] as? [String: Any])
    for key in ["load_seconds", "first_token_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"] {
      #expect((timings[key] as? Double ?? -1) >= 0, "\(key)")
    }
    let memory = try #require(output["memory"] as? [String: Any])
    let fileByteCount = try FileManager.default.attributesOfItem(atPath: BadInputTests.tinyFile.path)[.size] as? Int
    #expect(memory["weights_mapped_bytes"] as? Int == fileByteCount)
    #expect(memory["weights_copied_bytes"] as? Int == 0)
    for key in ["scratch_peak_bytes", "scratch_discarded_bytes", "cache_mapped_bytes", "rss_anon_bytes", "rss_file_bytes", "pss_bytes"] {
      #expect((memory[key] as? Int ?? 0) > 0, "\(key)")
    }
  }

  @Test("read and copy count what they copy", arguments: ["read", "copy"])
  func copiedWeights(placement: String) throws {
    let output = try json(["run", Self.tiny, "--prompt", "Once", "--max-tokens", "2", "--weights", placement])
    let memory = try #require(output["memory"] as? [String: Any])
    let fileByteCount = try FileManager.default.attributesOfItem(atPath: BadInputTests.tinyFile.path)[.size] as? Int ?? 0
    #expect((memory["weights_copied_bytes"] as? Int ?? 0) >= fileByteCount * (placement == "copy" ? 2 : 1))
  }

  @Test("providers, placements and thread counts give the same greedy text")
  func variantsAgree() throws {
    let base = ["run", Self.tiny, "--prompt", "The little dog", "--max-tokens", "16", "--temperature", "0"]
    let expected = try json(base)["text"] as? String
    #expect(expected?.isEmpty == false)
    for variant in [["--weights", "read"], ["--weights", "copy"], ["--threads", "1"], ["--threads", "3"], ["--kernels", "wasm"]] {
      #expect(try json(base + variant)["text"] as? String == expected, "\(variant)")
    }
  }

  @Test("run streams text to standard output and speeds to standard error")
  func runText() throws {
    let result = try BinderyExecutable.run(["run", Self.tiny, "--chat", "--prompt", "Tell me a story about a cat.", "--max-tokens", "40"])
    #expect(result.status == 0)
    #expect(!result.output.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty)
    #expect(!result.output.contains("<|im_end|>"), "special tokens have no text")
    #expect(result.errors.contains("0 copied"))
    #expect(result.errors.contains("discarded"))
  }

  @Test("the same seed gives the same text, another one another")
  func seeds() throws {
    func text(_ seed: Int) throws -> String? {
      try json(["run", Self.tiny, "--prompt", "One day", "--max-tokens", "24", "--temperature", "1.5", "--seed", "\(seed)"])["text"] as? String
    }
    #expect(try text(7) == text(7))
    #expect(try Set([text(1), text(2), text(3)]).count > 1)
  }

  @Test("a stop string ends the text before it")
  func stopString() throws {
    let base = ["run", Self.tiny, "--prompt", "Once upon a time", "--max-tokens", "40", "--temperature", "0"]
    let whole = try #require(try json(base)["text"] as? String)
    let words = whole.split(separator: " ")
    let stop = String(try #require(words.dropFirst(3).first))
    let output = try json(base + ["--stop", stop])
    #expect(output["finish_reason"] as? String == "stop")
    let text = try #require(output["text"] as? String)
    #expect(whole.hasPrefix(text) && !text.contains(stop))
  }

  @Test("a time limit ends a run")
  func timeLimit() throws {
    let result = try BinderyExecutable.run(["run", Self.tiny, "--prompt", "x", "--max-tokens", "400", "--kernels", "wasm", "--timeout", "0.000001", "--json"])
    #expect(!result.wasSignalled)
    #expect(result.status == 124 && result.errors.contains("--timeout"), "\(result.errors)")
  }

  @Test("tokenize gives ids and pieces, for one text or a list")
  func tokenize() throws {
    let one = try json(["tokenize", Self.tiny, "--text", "A cat."])
    let ids = try #require(one["ids"] as? [Int])
    #expect(ids.count == (one["pieces"] as? [String])?.count)
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let path = try folder.write(Array(#"["A cat.", ""]"#.utf8), to: "texts.json")
    let list = try json(["tokenize", Self.tiny, "--input-file", path])
    #expect((list["ids"] as? [[Int]])?.first == ids)
  }

  @Test("perplexity over a text agrees with llama.cpp within half a per cent")
  func perplexity() throws {
    let reference = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: Repository.fixture("tiny/reference.json"))) as? [String: Any])
    let expected = try #require((reference["perplexity"] as? [String: Any])?["perplexity"] as? Double ?? reference["perplexity"] as? Double)
    let output = try json(["perplexity", Self.tiny, Repository.fixture("tiny/perplexity_text.txt").path, "--max-tokens", "411"])
    let found = try #require(output["perplexity"] as? Double)
    #expect(abs(found / expected - 1) < 0.005, "\(found), expected \(expected)")
    #expect(output["token_count"] is Int && output["mean_nll"] is Double)
  }

  @Test("inspect shows weight files and modules")
  func inspect() throws {
    let weights = try json(["inspect", BadInputTests.tinyFile.path])
    #expect((weights["format"] as? String)?.lowercased().hasPrefix("gguf") == true)
    let tensor = try #require((weights["tensors"] as? [[String: Any]])?.first)
    for key in ["name", "type", "shape", "offset", "byte_count", "alignment"] { #expect(tensor[key] != nil, "\(key)") }
    #expect((weights["metadata"] as? [String: Any])?["general.architecture"] as? String == "llama")
    let module = try json(["inspect", "models/programs/llama.wasm"])
    #expect(module["format"] as? String == "wasm")
    let memories = try #require(module["memories"] as? [[String: Any]])
    #expect(memories.count == 4)
    #expect(memories[0]["is_virtual"] as? Bool == true)
    let text = try BinderyExecutable.run(["inspect", "models/programs/llama.wasm"])
    #expect(text.output.contains("i64 virtual 0 16777216"))
  }

  @Test("exec runs an export and prints its results")
  func exec() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    // (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
    let add: [UInt8] = [
      0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7F, 0x7F, 0x01, 0x7F, 0x03, 0x02, 0x01, 0x00, 0x07,
      0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00, 0x0A, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6A, 0x0B,
    ]
    let path = try folder.write(add, to: "add.wasm")
    let output = try BinderyExecutable.run(["exec", path, "--invoke", "add", "40", "2"])
    #expect(output.status == 0 && output.output.contains("42"))
    let wrong = try BinderyExecutable.run(["exec", path, "--invoke", "add", "40"])
    #expect(wrong.status == 1 && wrong.errors.contains("expected 2 arguments"))
    let missing = try BinderyExecutable.run(["exec", path, "--invoke", "subtract", "1"])
    #expect(missing.status == 1 && missing.errors.contains("subtract"))
  }

  @Test("bench llm names its figures as llama-bench does")
  func bench() throws {
    let arguments = ["bench", "llm", Self.tiny, "--prefill", "8", "--decode", "4", "--repetitions", "1"]
    let results = try #require(try json(arguments)["results"] as? [[String: Any]])
    #expect(results.map { $0["test"] as? String } == ["pp8", "tg4"])
    #expect(try BinderyExecutable.run(arguments).output.contains("| pp8 |"))
  }

  @Test("a prompt can come from standard input")
  func standardInput() throws {
    let result = try BinderyExecutable.run(
      ["run", Self.tiny, "--prompt-file", "-", "--max-tokens", "2", "--json"], input: "Once upon a time")
    #expect(result.json?["token_ids"] is [Int])
  }

  @Test("Ctrl-C ends a run cleanly, as cancelled")
  func interrupt() throws {
    let arguments = [
      "run", Self.tiny, "--prompt", "Once upon a time", "--max-tokens", "100000", "--kernels", "wasm", "--temperature", "4", "--json",
    ]
    let result = try BinderyExecutable.run(arguments) { process in
      Thread.sleep(forTimeInterval: 1)
      process.interrupt()
    }
    // Ended before the signal came, or by it.
    #expect(result.status == 130 || result.json?["finish_reason"] as? String != "cancelled", "\(result.status): \(result.errors)")
    if let json = result.json { #expect(["cancelled", "length", "stop"].contains(json["finish_reason"] as? String)) }
  }

  @Test("every command explains itself", arguments: ["run", "fetch", "inspect", "tokenize", "perplexity", "exec", "lower", "bench"])
  func help(command: String) throws {
    let result = try BinderyExecutable.run([command, "--help"])
    #expect(result.status == 0 && result.output.contains("USAGE: bindery \(command)"))
  }
}
