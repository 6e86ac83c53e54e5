import CInterpreter
import CPlatform
import Synchronization
import WebAssembly

/// Whether a store's guest is running, and on which thread: what the host must know before it takes pages of an unshared memory
/// away.
///
/// A guest tests an access and then makes it; a page that went away between the two would end the process. So a change by the
/// host and the entry of a guest exclude each other: the host announces the change and looks for running guests, a guest
/// announces itself and looks for changes. One of the two sees the other, whoever came first.
@safe
package final class GuestRun: Sendable {
  /// The thread, 0 while no guest runs.
  private let thread = Atomic<UInt>(0)
  /// Changes by the host in progress, of memories that the store's guests use: microseconds for most, 100 for each resident MB
  /// that is discarded. A guest that enters meanwhile waits; guests of other stores do not.
  private let changeCount = Atomic<Int>(0)

  package init() {}

  /// The outermost run of a store begins, on this thread.
  package func begin() {
    thread.store(bindery_thread_identity(), ordering: .sequentiallyConsistent)
    while changeCount.load(ordering: .sequentiallyConsistent) != 0 { bindery_thread_yield() }
  }

  package func end() { thread.store(0, ordering: .releasing) }

  /// Between these two, no guest of the store begins to run.
  package func beginChange() { changeCount.wrappingAdd(1, ordering: .sequentiallyConsistent) }

  package func endChange() { changeCount.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

  /// True if another thread than this one is running the guest; nil if none is.
  var isOnOtherThread: Bool? {
    let running = thread.load(ordering: .sequentiallyConsistent)
    return running == 0 ? nil : running != bindery_thread_identity()
  }
}

/// An instance's view of a memory, and whose it is.
@safe
struct RegisteredView {
  let pointer: UnsafeMutablePointer<bindery_memory_view>
  let run: GuestRun?
}

/// The host's turn to change an unshared memory, from `Memory.turn` to `end`, all of it under the memory's lock.
struct ChangeTurn {
  /// A guest runs on another thread, and none on this one.
  let isBusy: Bool
  /// The memory whose guests have been told; nil if none were. Its views stay as they are while the lock is held.
  fileprivate let announced: Memory?

  func end() {
    guard let announced else { return }
    for view in announced.views { view.run?.endChange() }
  }
}

extension Memory {
  /// Asks for a turn to change page states, under the lock. A guest on this thread has it: it asks by an instruction, or through
  /// a host function. In a shared memory everybody has it.
  func turn() -> ChangeTurn {
    guard !type.isShared, !views.isEmpty, !views.contains(where: { $0.run?.isOnOtherThread == false }) else {
      return ChangeTurn(isBusy: false, announced: nil)
    }
    for view in views { view.run?.beginChange() }
    return ChangeTurn(isBusy: views.contains { $0.run?.isOnOtherThread == true }, announced: self)
  }
}
