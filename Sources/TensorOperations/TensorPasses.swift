/// The passes of one model program: between `begin` and `end` it will call many operations with short breaks, and the threads that help it
/// stay awake. Without passes everything works the same, but threads fall asleep between two operations. To be used by one thread at a time.
public final class TensorPasses {
  private let workers: WorkerPool
  private(set) var isInPass = false

  init(workers: WorkerPool) { self.workers = workers }

  deinit { end() }

  /// Has no effect within a pass.
  public func begin() {
    guard !isInPass else { return }
    isInPass = true
    workers.beginPass()
  }

  /// Has no effect outside a pass.
  public func end() {
    guard isInPass else { return }
    isInPass = false
    workers.endPass()
  }
}
