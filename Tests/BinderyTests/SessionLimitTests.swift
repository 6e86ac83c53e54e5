import Bindery
import Foundation
import Synchronization
import TensorStore
import Testing
import _TestSupport

@Suite("Limits, cancellation and bad requests")
struct SessionLimitTests {
  private static let prompt: [Int32] = TinyModel.cases.first?.prompt_token_ids ?? []

  /// A request that only a stop can end early.
  private static func endless(_ session: Session) -> GenerationRequest {
    GenerationRequest(
      promptTokens: prompt, tokenCountMax: 1_000_000, sampling: SamplingOptions(temperature: 5, repeatPenalty: 1.5, seed: 3))
  }

  @Test("a time limit ends a generation with what there is")
  func timeLimit() throws {
    let session = try TinyModel.session(try TinyModel.host(.wasm))
    var request = Self.endless(session)
    request.timeLimit = .milliseconds(1)
    let result = try session.generate(request)
    #expect(result.finishReason == .cancelled)
    // The session goes on.
    request.timeLimit = nil
    request.tokenCountMax = 2
    #expect(try session.generate(request).tokens.count == 2)
  }

  @Test("cancelling from another thread ends a generation, and the session goes on")
  func cancel() throws {
    let session = try TinyModel.session(try TinyModel.host())
    var count = 0
    let result = try session.generate(Self.endless(session)) { _ in
      count += 1
      if count == 3 { Thread.detachNewThread { session.cancel() } }
      if count >= 3 { Thread.sleep(forTimeInterval: 0.002) }
    }
    #expect(result.finishReason == .cancelled || result.finishReason == .stop || result.finishReason == .length)
    #expect(result.tokens.count < 1000)
    #expect(try session.generate(GenerationRequest(promptTokens: Self.prompt, tokenCountMax: 2)).tokens.count == 2)
  }

  @Test("a stream gives text and then the result, and ends the generation when it is left")
  func stream() async throws {
    let session = try TinyModel.session(try TinyModel.host())
    var text = ""
    var result: GenerationResult?
    for try await event in session.stream(GenerationRequest(promptTokens: Self.prompt, tokenCountMax: 12)) {
      switch event {
      case .text(let piece): text += piece
      case .finished(let finished): result = finished
      }
    }
    #expect(result?.text == text)
    for try await _ in session.stream(Self.endless(session)) { break }
    // The next generation waits for the one that is being cancelled.
    #expect(try session.generate(GenerationRequest(promptTokens: Self.prompt, tokenCountMax: 2)).tokens.count <= 2)
  }

  @Test("the end of the context ends a generation")
  func contextEnds() throws {
    let session = try TinyModel.session(try TinyModel.host())
    let text = try TinyModel.reference().perplexity_token_ids
    var prompt: [Int32] = []
    while prompt.count < session.contextLength - 2 { prompt += text.prefix(session.contextLength - 2 - prompt.count) }
    let result = try session.generate(GenerationRequest(promptTokens: prompt, tokenCountMax: 100))
    #expect(result.finishReason == .length || result.finishReason == .stop)
    #expect(result.tokens.count <= 3)
  }

  private static func expectError(_ kind: BinderyError.Kind, _ parts: String..., body: () throws -> Void) {
    do {
      try body()
      Issue.record("no error; expected one with \(parts)")
    } catch let error as BinderyError {
      #expect(error.kind == kind)
      for part in parts { #expect(error.message.contains(part), "\(error.message)") }
      #expect(!error.message.contains("\n"), "one sentence: \(error.message)")
    } catch { Issue.record("\(error) is no BinderyError") }
  }

  @Test("requests that cannot be fulfilled are refused, and the session goes on")
  func badRequests() throws {
    let session = try TinyModel.session(try TinyModel.host())
    let context = session.contextLength
    Self.expectError(.malformedInput, "empty") { _ = try session.generate(GenerationRequest(promptTokens: [])) }
    Self.expectError(.malformedInput, "\(context + 1) tokens", "holds \(context)") {
      _ = try session.generate(GenerationRequest(promptTokens: .init(repeating: 5, count: context + 1)))
    }
    for id in [Int32(-1), Int32(session.vocabularySize)] {
      Self.expectError(.malformedInput, "token \(id)") { _ = try session.generate(GenerationRequest(promptTokens: [id])) }
    }
    Self.expectError(.malformedInput, "at least 1 token") {
      _ = try session.generate(GenerationRequest(promptTokens: Self.prompt, tokenCountMax: 0))
    }
    Self.expectError(.malformedInput, "temperature") {
      _ = try session.generate(GenerationRequest(promptTokens: Self.prompt, sampling: SamplingOptions(temperature: -1)))
    }
    #expect(try session.generate(GenerationRequest(promptTokens: Self.prompt, tokenCountMax: 2)).tokens.count == 2)
  }

  @Test("files and options that cannot be used are refused with a sentence")
  func badFiles() throws {
    let folder = try TemporaryFolder()
    let host = try TinyModel.host()
    Self.expectError(.malformedInput, "threads", "0") { _ = try TinyModel.host(threads: 0) }
    Self.expectError(.environment, "/nowhere.gguf") { _ = try host.openModel(at: "/nowhere.gguf") }
    let text = try folder.write(Array("This is no model.".utf8), to: "text.gguf")
    Self.expectError(.malformedInput, "text.gguf", "GGUF") { _ = try host.openModel(at: text) }
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: TinyModel.weights)))
    let short = try folder.write(Array(bytes.prefix(bytes.count / 2)), to: "short.gguf")
    Self.expectError(.malformedInput, "short.gguf") { _ = try host.openModel(at: short) }
    var unknown = GGUFBytes()
    unknown.add("general.architecture", "mamba9")
    let other = try folder.write(unknown.bytes, to: "other.gguf")
    Self.expectError(.malformedInput, "mamba9", "llama", "--program") { _ = try host.openModel(at: other) }
    let bundle = try folder.write(Array("{\"name\": 3}".utf8), to: "bundle.json")
    Self.expectError(.malformedInput, bundle) { _ = try host.openModel(at: folder.url.path) }
    let manifest =
      "{\"name\": \"x\", \"files\": [{\"path\": \"x.gguf\", \"role\": \"weights\", \"byte_count\": 3, \"sha256\": \""
      + String(repeating: "0", count: 64) + "\"}]}"
    _ = try folder.write(Array(manifest.utf8), to: "bundle.json")
    Self.expectError(.environment, "bindery fetch x") { _ = try host.openModel(at: folder.url.path) }
    // A program that is no module, and one with another interface.
    let notWasm = try folder.write([1, 2, 3], to: "program.wasm")
    Self.expectError(.malformedInput, "program.wasm") { _ = try host.openModel(at: TinyModel.folder, programPath: notWasm) }
    let empty = try folder.write([0, 0x61, 0x73, 0x6D, 1, 0, 0, 0], to: "empty.wasm")
    Self.expectError(.malformedInput, "exports no") {
      _ = try host.openModel(at: TinyModel.folder, programPath: empty).makeSession()
    }
  }

  @Test("a memory limit is an error, not a crash")
  func memoryLimit() throws {
    let host = try TinyModel.host { $0.sessionMemoryByteCountMax = 1 << 18 }
    do {
      let session = try TinyModel.session(host)
      _ = try session.generate(GenerationRequest(promptTokens: Array(repeating: 7, count: 300), tokenCountMax: 2))
      Issue.record("256 KiB are not enough")
    } catch let error as BinderyError { #expect(!error.message.isEmpty) }
  }
}
