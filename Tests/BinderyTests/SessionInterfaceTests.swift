import Bindery
import Foundation
import Testing
import _TestSupport

/// Whatever a program returns is checked: no number of a guest ends the process, or makes the host touch what it may not.
@Suite("Numbers that programs return")
struct SessionInterfaceTests {
  private static let request = GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 3)
  private static let numbers32 = ["0", "-1", "2147483647", "-2147483648"]
  private static let numbers64 = [
    "-2", "9223372036854775807", "-9223372036854775808", "16777213", "16777216", "4294967296", "1", "16777100",
  ]

  @Test("sizes that cannot be are refused", arguments: ["vocabulary_size", "context_length", "embedding_size"], numbers32)
  func sizes(export: String, number: String) throws {
    let folder = try TemporaryFolder()
    let model = try HostileProgram(bodies: [export: "(i32.const \(number))"]).model(on: try TinyModel.host(), in: folder)
    if number == "2147483647", export != "vocabulary_size" {
      // A context of 2^31 - 1 is a promise that a program can make; keeping it would take memory.
      let session = try model.makeSession()
      #expect(try !session.generate(Self.request).tokens.isEmpty)
    } else {
      expectBinderyError(.programInterface, containing: [export, "expected a number from 1"]) { _ = try model.makeSession() }
    }
  }

  @Test("addresses of the catalog", arguments: numbers32 + ["131071", "65536"])
  func allocation(number: String) throws {
    let folder = try TemporaryFolder()
    let model = try HostileProgram(bodies: ["allocate": "(i32.const \(number))"]).model(on: try TinyModel.host(), in: folder)
    switch number {
    case "0": expectBinderyError(.environment, containing: ["no memory for the catalog"]) { _ = try model.makeSession() }
    case "65536": _ = try model.makeSession()
    default: expectBinderyError(.programInterface, containing: ["allocated"]) { _ = try model.makeSession() }
    }
  }

  @Test("addresses of requests and logits", arguments: ["pass_begin", "forward"], numbers64)
  func addresses(export: String, number: String) throws {
    let folder = try TemporaryFolder()
    let grow = "(if (i64.eqz (memory.size $scratch)) (then (drop (memory.grow $scratch (i64.const 256)))))"
    let program = HostileProgram(bodies: [export: "\(export == "pass_begin" ? grow : "") (i64.const \(number))"])
    let session = try program.model(on: try TinyModel.host(), in: folder).makeSession()
    if export == "pass_begin", number == "1" {
      #expect(try !session.generate(Self.request).tokens.isEmpty)
      return
    }
    for _ in 0..<2 {
      expectBinderyError(.programInterface, containing: ["scratch memory"]) { _ = try session.generate(Self.request) }
      expectBinderyError(.programInterface) { _ = try session.negativeLogLikelihoods(of: [5, 6, 7]) }
    }
  }

  @Test("sequence numbers are the program's own affair, and refusals are told", arguments: numbers32)
  func sequences(number: String) throws {
    let folder = try TemporaryFolder()
    let program = HostileProgram(bodies: ["sequence_open": "(i32.const \(number))"])
    let session = try program.model(on: try TinyModel.host(), in: folder).makeSession()
    if number.hasPrefix("-") {
      expectBinderyError(.trap, containing: ["refused sequence_open: hostile program says no"]) {
        _ = try session.generate(Self.request)
      }
    } else {
      #expect(try !session.generate(Self.request).tokens.isEmpty)
    }
  }

  @Test(
    "error texts are cut, escaped, and may lie anywhere",
    arguments: [("16", "23", "hostile"), ("0", "-1", "no reason"), ("-1", "5", "no reason"), ("200", "9", "\\u{1b}[2Jx\\xff"), ("16", "-2147483648", "...")])
  func errorTexts(address: String, byteCount: String, expected: String) throws {
    let folder = try TemporaryFolder()
    let program = HostileProgram(
      fields: #"(data (memory $own) (i32.const 200) "\1b[2Jx\ff\0a\c2\9b")"#,
      bodies: [
        "error_address": "(i32.const \(address))", "error_byte_count": "(i32.const \(byteCount))", "forward": "(i64.const -1)",
      ])
    let session = try program.model(on: try TinyModel.host(), in: folder).makeSession()
    let part = byteCount == "-1" ? "..." : expected
    expectBinderyError(.trap, containing: [part]) { _ = try session.generate(Self.request) }
  }

  @Test("logits that are no numbers are an error", arguments: ["nan", "-inf"])
  func noLogits(value: String) throws {
    let folder = try TemporaryFolder()
    let program = HostileProgram(bodies: [
      "forward":
        "(loop $l (f32.store $scratch (i64.add (i64.const 1048576) (i64.shl (local.get $i) (i64.const 2))) (f32.const \(value))) (local.set $i (i64.add (local.get $i) (i64.const 1))) (br_if $l (i64.lt_u (local.get $i) (i64.const 1024)))) (i64.const 1048576)"
    ])
    let session = try program.model(on: try TinyModel.host(), in: folder).makeSession()
    for options in [SamplingOptions.greedy, SamplingOptions(temperature: 1, topP: 0.5), SamplingOptions(temperature: 1)] {
      var request = Self.request
      request.sampling = options
      request.topLogProbabilityCount = 100
      expectBinderyError(.trap, containing: ["no usable logit"]) { _ = try session.generate(request) }
    }
  }

  @Test("requests that would take the host too long are refused")
  func requests() throws {
    let session = try TinyModel.session(try TinyModel.host())
    var request = Self.request
    request.stopStrings = Array(repeating: "x", count: 257)
    expectBinderyError(.malformedInput, containing: ["256 stop strings"]) { _ = try session.generate(request) }
    request.stopStrings = [String(repeating: "x", count: 65_537)]
    expectBinderyError(.malformedInput, containing: ["65536 bytes"]) { _ = try session.generate(request) }
    request.stopStrings = []
    request.sampling.repeatWindowTokenCount = .max
    expectBinderyError(.malformedInput, containing: ["repeat window"]) { _ = try session.generate(request) }
    request.sampling.repeatWindowTokenCount = 0
    request.sampling.topK = .max
    request.sampling.temperature = 1
    request.tokenCountMax = .max
    request.timeLimit = .seconds(Int64.max)
    request.stopStrings = ["."]
    _ = try session.generate(request)
  }
}
