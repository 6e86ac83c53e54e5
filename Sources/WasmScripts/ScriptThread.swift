import Foundation
import Synchronization
import WasmRuntime
import WebAssembly
import WebAssemblyText

/// What a thread of a script sees of an instance that it shares: its shared memories. All else lives in one store, which one
/// thread uses at a time.
struct SharedInstance: Sendable {
  let memories: [(name: String, memory: Memory)]

  init(_ instance: Instance) {
    memories = instance.exports.compactMap { export in
      guard case .memory(let memory) = export.value, memory.type.isShared else { return nil }
      return (export.name, memory)
    }
  }

  func define(module: String, in imports: inout Imports) {
    for (name, memory) in memories { imports.define(module: module, name: name, .memory(memory)) }
  }
}

/// A thread of a script: commands in a world of their own, on a thread of the host.
final class ScriptThread: Sendable {
  enum Ending {
    case finished(ScriptReport)
    /// The thread could not make its world.
    case failed(String)
    /// It did not end in time; its run was cancelled.
    case timedOut
  }

  private struct State {
    var ending: Ending?
    var interrupt: InterruptHandle?
  }

  private let state = Mutex(State())
  private let end = DispatchSemaphore(value: 0)

  /// Starts at once.
  init(engine: Engine, limits: ResourceLimits, shared: [String: SharedInstance], commands: [ScriptCommand]) {
    let thread = Thread { [self] in
      let ending: Ending
      do {
        let runner = try ScriptRunner(engine: engine, limits: limits, shared: shared)
        state.withLock { $0.interrupt = runner.interruptHandle }
        ending = .finished(runner.run(commands))
      } catch { ending = .failed("\(error)") }
      state.withLock { state in
        state.ending = ending
        state.interrupt = nil
      }
      end.signal()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// Waits for the end. To be called once.
  func wait(secondsMax: Double) -> Ending {
    if end.wait(timeout: .now() + secondsMax) == .success { return state.withLock { $0.ending } ?? .timedOut }
    // A guest that loops or waits for ever is stopped; a thread that cannot even be stopped is left to itself.
    state.withLock { $0.interrupt }?.cancel()
    _ = end.wait(timeout: .now() + 5)
    return .timedOut
  }
}
