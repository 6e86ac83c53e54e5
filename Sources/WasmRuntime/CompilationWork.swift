import WebAssembly

/// What one compilation holds of a budget. Gives all of it back at the end of its life, which is that of the module.
final class CompilationCharge: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): changed by the thread that compiles, before anyone else has the module.
  private let budget: ResourceBudget
  private(set) var byteCount: UInt64 = 0

  init(_ budget: ResourceBudget) { self.budget = budget }

  deinit { budget.credit(byteCount, to: .code) }

  /// - Returns: false where the budget refuses.
  func take(_ byteCount: Int) -> Bool {
    let byteCount = UInt64(byteCount)
    guard budget.charge(byteCount, to: .code) else { return false }
    self.byteCount += byteCount
    return true
  }

  func giveBack(_ byteCount: Int) {
    budget.credit(UInt64(byteCount), to: .code)
    self.byteCount -= UInt64(byteCount)
  }

  /// For the sentence of a refusal.
  var byteCountMax: UInt64 { budget.byteCountMax }
}

/// Who pays for a compilation, and who may end it.
struct CompilationWork {
  let charge: CompilationCharge
  private let stop: () -> TrapKind?

  init(budget: ResourceBudget, stop: @escaping () -> TrapKind?) {
    charge = CompilationCharge(budget)
    self.stop = stop
  }

  var supervision: Supervision {
    let (charge, stop) = (charge, stop)
    return Supervision(charge: { charge.take($0) }, shouldStop: { stop() != nil })
  }

  /// - Throws: the trap that ends the work.
  func checkProgress() throws(WasmError) {
    if let kind = stop() { throw .trap(Trap(kind)) }
  }

  func outOfMemory() -> WasmError {
    .limit("compiling the module needs more memory than is left of the \(charge.byteCountMax) bytes granted")
  }

  /// The error of a compilation for one of reading the module.
  func error(_ error: WasmParseError) -> WasmError {
    switch error.reason {
    case .malformed, .unsupported: .malformed(error)
    case .overLimit: .limit(error.description)
    case .outOfMemory: outOfMemory()
    case .stopped: stopped()
    }
  }

  /// The error of a compilation for one of checking the module.
  func error(_ error: ValidationError) -> WasmError {
    switch error.reason {
    case .invalid: .invalid(error)
    case .overLimit: .limit(error.description)
    case .outOfMemory: outOfMemory()
    case .stopped: stopped()
    }
  }

  /// Who said stop says why; a deadline that passed and was then extended is a deadline.
  private func stopped() -> WasmError { .trap(Trap(stop() ?? .deadlineExceeded)) }
}
