import Bindery
import Foundation
import Synchronization
import _TestSupport

/// Eight tenants of one process at once: two honest ones, and six that cancel, cut files, never end, take what they can get, and
/// call operations with numbers at the edge, through native and wasm kernels.
///
/// An honest tenant's text must be right every time and its speed at least 40 % of an equal share; a hostile one may fail
/// itself, by a typed error within its time, and nothing else.
final class TenantHarness: Sendable {
  struct Report: Sendable {
    var wrongTexts: [String] = []
    /// Hostile programs that took longer than their time, or gave an answer that only a broken wall explains.
    var broken: [String] = []
    var honestTokenCounts: [Int] = [0, 0]
    var runs: [String: Int] = [:]
    /// Tokens a second of each honest tenant alone, before.
    var soloRates: [Double] = [0, 0]
    var seconds = 0.0
    /// The smaller of the honest tenants' shares: tokens a second beside the others, over those of an equal share of the cores.
    var shareMin: Double {
      let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
      return zip(honestTokenCounts, soloRates).map { Double($0) / seconds / ($1 * min(1, cores / 8)) }.min() ?? 0
    }
  }

  /// A hostile generation gets this long, and may take as long again on a busy machine, with a second for what a test build is slower.
  static let timeLimit = Duration.milliseconds(200)
  private static let timeMax = Duration.seconds(10)

  let hosts: [Bindery.Host]
  let modelPath = Repository.path("models/tiny-stories-1m").path
  let folder: TemporaryFolder
  let prompts = ["Once upon a time", "The little dog", "Lily and Tom went to the park and"]
  /// By host and prompt: the text of a new conversation, and that of one which begins with the same prompt and computes its last token only.
  /// (A pass of one row rounds otherwise than one of several.)
  let texts: [[Set<String>]]
  let report = Mutex(Report())
  private let isOver = Atomic<Bool>(false)

  init() throws {
    folder = try TemporaryFolder()
    hosts = try [KernelProvider.native, .wasm].map { kernels in
      var options = HostOptions()
      options.kernels = kernels
      options.threadCount = 2
      options.sessionMemoryByteCountMax = 256 << 20
      return try Bindery.Host(options: options)
    }
    var texts: [[Set<String>]] = []
    for (index, host) in hosts.enumerated() {
      let model = try host.openModel(at: modelPath)
      let session = try model.makeSession()
      var tokenCount = 0
      var line: [Set<String>] = []
      for prompt in prompts {
        let conversation = try model.makeSession()
        line.append([try Self.text(conversation, model, prompt).text, try Self.text(conversation, model, prompt).text])
      }
      let start = ContinuousClock.now
      for _ in 0..<2 {
        for prompt in prompts { tokenCount += try Self.text(session, model, prompt).tokens.count }
      }
      let rate = Double(tokenCount) / Self.seconds(ContinuousClock.now - start)
      report.withLock { $0.soloRates[index] = rate }
      texts.append(line)
    }
    self.texts = texts
  }

  /// Runs all tenants for so long.
  func run(for duration: Duration) -> Report {
    let start = ContinuousClock.now
    let tenants: [@Sendable (TenantHarness, inout SeededGenerator) throws -> Void] = [
      { harness, _ in try harness.honest(0) }, { harness, _ in try harness.honest(1) },
      { try $0.cancelled(&$1) }, { try $0.truncated(&$1) },
      { try $0.hostile(HostileProgram.endless, &$1) }, { try $0.hostile(HostileProgram.greedy, &$1) },
      { harness, random in
        try harness.hostile([.overflowing(pieces: (1 << 20) - Int.random(in: -8...8, using: &random))], &random)
      },
      { harness, random in
        let edges: [Int64] = [0, 1, -1, 1 << 20, 1 << 23, 1 << 31, (1 << 31) - 1, .max, .min, 8_388_608, 33_554_428]
        var choices = SeededGenerator(seed: random.next())
        let program = HostileProgram.extreme { _ in edges.randomElement(using: &choices) ?? 0 }
        try harness.hostile([program], &random)
      },
    ]
    let group = DispatchGroup()
    for (index, tenant) in tenants.enumerated() {
      group.enter()
      let thread = Thread { [self] in
        defer { group.leave() }
        var random = SeededGenerator(seed: UInt64(index) + 1)
        while !isOver.load(ordering: .relaxed) {
          do { try tenant(self, &random) } catch {
            report.withLock { $0.broken.append("tenant \(index): \(error)") }
            return
          }
        }
      }
      // Threads of services have less than the main thread's 8 MiB.
      thread.stackSize = 1 << 20
      thread.start()
    }
    Thread.sleep(forTimeInterval: Self.seconds(duration))
    report.withLock { $0.seconds = Self.seconds(ContinuousClock.now - start) }
    isOver.store(true, ordering: .relaxed)
    group.wait()
    return report.withLock { $0 }
  }

  // MARK: Tenants

  /// One generation whose text must be right.
  private func honest(_ host: Int) throws {
    let model = try hosts[host].openModel(at: modelPath)
    let session = try model.makeSession()
    for (index, prompt) in prompts.enumerated() {
      let result = try Self.text(session, model, prompt)
      report.withLock { report in
        if !isOver.load(ordering: .relaxed) { report.honestTokenCounts[host] += result.tokens.count }
        report.runs["honest", default: 0] += 1
        if !texts[host][index].contains(result.text) { report.wrongTexts.append("honest \(host): \(result.text)") }
      }
    }
  }

  /// The same session cancelled again and again, at any moment, and then asked for a text that must be right.
  private func cancelled(_ random: inout SeededGenerator) throws {
    let host = Int.random(in: 0...1, using: &random)
    let model = try hosts[host].openModel(at: modelPath)
    let session = try model.makeSession()
    for _ in 0..<20 where !isOver.load(ordering: .relaxed) {
      for _ in 0..<5 {
        let delay = Double.random(in: 0...0.003, using: &random)
        let canceller = Thread {
          Thread.sleep(forTimeInterval: delay)
          session.cancel()
        }
        canceller.start()
        _ = try session.generate(GenerationRequest(promptTokens: try model.encode(prompts[0]), tokenCountMax: 200))
      }
      // A cancellation that comes late must not reach what follows; wait until the last one has come.
      Thread.sleep(forTimeInterval: 0.005)
      let index = Int.random(in: 0..<prompts.count, using: &random)
      var result = try Self.text(session, model, prompts[index])
      if result.finishReason == .cancelled { result = try Self.text(session, model, prompts[index]) }
      report.withLock { report in
        report.runs["cancelled", default: 0] += 5
        if !texts[host][index].contains(result.text) { report.wrongTexts.append("after cancellations: \(result.text)") }
      }
    }
  }

  /// A weight file that becomes shorter while a program reads it.
  private func truncated(_ random: inout SeededGenerator) throws {
    let path = folder.url.appending(path: "\(UUID().uuidString).gguf").path
    try FileManager.default.copyItem(atPath: modelPath + "/tiny-stories-1m.gguf", toPath: path)
    defer { try? FileManager.default.removeItem(atPath: path) }
    guard let file = FileHandle(forUpdatingAtPath: path) else { return }
    try file.truncate(atOffset: 80_000_000)
    let delay = Double.random(in: 0...0.1, using: &random)
    let cutter = Thread {
      Thread.sleep(forTimeInterval: delay)
      try? file.truncate(atOffset: 65_536)
    }
    cutter.start()
    try attack(.reader, on: Int.random(in: 0...1, using: &random), weights: path)
  }

  private func hostile(_ programs: [HostileProgram], _ random: inout SeededGenerator) throws {
    for program in programs where !isOver.load(ordering: .relaxed) {
      try attack(program, on: Int.random(in: 0...1, using: &random), weights: modelPath)
    }
  }

  /// A whole life of a hostile program: it must end in its time, by an error or with tokens of its own.
  private func attack(_ program: HostileProgram, on host: Int, weights: String) throws {
    let path = try folder.write(try program.binary(), to: "\(UUID().uuidString).wasm")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let start = ContinuousClock.now
    do {
      let model = try hosts[host].openModel(at: weights, programPath: path)
      let session = try model.makeSession(SessionLimits(timeLimit: Self.timeLimit))
      _ = try session.generate(GenerationRequest(promptTokens: [1, 2, 3], tokenCountMax: 4, timeLimit: Self.timeLimit))
    } catch {
      // What a stranger's program may do to itself.
    }
    let taken = ContinuousClock.now - start
    report.withLock { report in
      report.runs[program.name.prefix { !$0.isNumber }.trimmingCharacters(in: .whitespaces), default: 0] += 1
      if taken > Self.timeMax { report.broken.append("\(program.name): took \(taken)") }
    }
  }

  // MARK: Parts

  private static func text(_ session: Session, _ model: Model, _ prompt: String) throws -> GenerationResult {
    try session.generate(GenerationRequest(promptTokens: try model.encode(prompt), tokenCountMax: 40))
  }

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}
