import Bindery
import Foundation
import Synchronization
import Testing
import WebAssemblyText
import _TestSupport

extension HostileProgram {
  /// The program with the tiny model's weights, or others.
  func model(on host: Bindery.Host, weights: String = TinyModel.weights, in folder: TemporaryFolder) throws -> Model {
    let path = try folder.write(try WebAssemblyText.binary(of: Array(text.utf8)), to: "program-\(UUID().uuidString).wasm")
    return try host.openModel(at: weights, programPath: path)
  }
}

/// What guests have logged.
final class LogRecord: Sendable {
  private let lines = Mutex<[String]>([])
  var all: [String] { lines.withLock { $0 } }
  func add(_ line: String) { lines.withLock { $0.append(line) } }
}

/// Runs `body` and expects a `BinderyError` of one of the kinds, in one sentence.
func expectBinderyError(
  _ kinds: BinderyError.Kind..., containing parts: [String] = [], within limit: Duration = .seconds(20),
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let start = ContinuousClock.now
  do {
    try body()
    Issue.record("no error; expected \(kinds)", sourceLocation: sourceLocation)
  } catch let error as BinderyError {
    #expect(kinds.contains(error.kind), "\(error.kind): \(error.message)", sourceLocation: sourceLocation)
    for part in parts { #expect(error.message.contains(part), "\(error.message)", sourceLocation: sourceLocation) }
    #expect(error.message == error.message.filter { !$0.isNewline }, sourceLocation: sourceLocation)
  } catch { Issue.record("\(error) is no BinderyError", sourceLocation: sourceLocation) }
  #expect(ContinuousClock.now - start < limit, sourceLocation: sourceLocation)
}
