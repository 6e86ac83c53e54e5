import TensorStore
import WasmRuntime

extension BinderyError {
  /// A failure to open or place weights.
  init(_ error: TensorStoreError) {
    self.init(error.kind == .malformedInput ? .malformedInput : .environment, error.message, cause: error)
  }

  /// A failure to compile, link or run a guest, as one sentence that begins with what was being done.
  init(_ error: WasmError, doing what: String) {
    switch error {
    case .malformed, .invalid, .link, .argumentMismatch: self.init(.malformedInput, "\(what): \(error)", cause: error)
    case .limit(let sentence): self.init(.environment, "\(what): \(sentence)", cause: error)
    case .trap(let trap): self.init(trap, doing: what)
    }
  }

  /// A trap: its message and the function of the guest in which it happened. The whole backtrace is in the cause.
  init(_ trap: Trap, doing what: String) {
    let place = trap.backtrace.first.map { ", in the guest's \($0)" } ?? ""
    let kind: Kind =
      switch trap.kind {
      case .deadlineExceeded: .timeLimit
      case .cancelled: .cancelled
      default: .trap
      }
    self.init(kind, "\(what): \(trap.message)\(place)", cause: trap)
  }

  /// Whether the work was stopped from outside, by its time limit or by a cancellation.
  var isInterruption: Bool { kind == .timeLimit || kind == .cancelled }
}
