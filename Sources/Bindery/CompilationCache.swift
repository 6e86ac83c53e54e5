import Foundation
import Synchronization

/// Values that are expensive to make, each made once: compiled programs by what they were made of.
///
///     ready: key ─► value, bytes, last use        the least recently used go when the bytes exceed the maximum
///     made:  key ─► who waits for it              others are not kept waiting
///
/// Nothing is made while the cache is locked: two that want the same value make it once, and those that want another one go on.
/// What is dropped from the cache lives on with those who use it. A failure is told to all who waited for it, and is not kept.
package final class CompilationCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  /// Bytes of values that are kept at one time; the value used last is kept however large it is.
  package let byteCountMax: UInt64

  private struct Entry {
    let value: Value
    let byteCount: UInt64
    var lastUse: UInt64
  }

  /// A value that is being made.
  private final class Work: Sendable {
    let isDone = DispatchGroup()
    let result = Mutex<Result<Value, BinderyError>?>(nil)
  }

  private struct State {
    var ready: [Key: Entry] = [:]
    var made: [Key: Work] = [:]
    var byteCount: UInt64 = 0
    var useCount: UInt64 = 0
  }

  private enum Role {
    case taken(Value)
    case waiting(Work)
    case making(Work)
  }

  private let state = Mutex(State())

  package init(byteCountMax: UInt64) { self.byteCountMax = byteCountMax }

  /// The value of a key: from the cache, from whoever is making it now, or made here.
  /// - Parameters:
  ///   - byteCount: what a value takes.
  ///   - make: makes the value; runs on this thread, without a lock.
  package func value(
    for key: Key, byteCount: (Value) -> UInt64, make: () throws(BinderyError) -> Value
  ) throws(BinderyError) -> Value {
    switch role(for: key) {
    case .taken(let value): return value
    case .waiting(let work):
      work.isDone.wait()
      guard let result = work.result.withLock(\.self) else { preconditionFailure("who says it is done has left the result") }
      return try result.get()
    case .making(let work):
      let result: Result<Value, BinderyError>
      do throws(BinderyError) { result = .success(try make()) } catch { result = .failure(error) }
      keep(result, for: key, byteCount)
      work.result.withLock { $0 = result }
      work.isDone.leave()
      return try result.get()
    }
  }

  /// Keys whose values are kept now.
  package var keys: Set<Key> { state.withLock { Set($0.ready.keys) } }

  private func role(for key: Key) -> Role {
    state.withLock { state in
      state.useCount += 1
      if let entry = state.ready[key] {
        state.ready[key]?.lastUse = state.useCount
        return .taken(entry.value)
      }
      if let work = state.made[key] { return .waiting(work) }
      let work = Work()
      work.isDone.enter()
      state.made[key] = work
      return .making(work)
    }
  }

  private func keep(_ result: Result<Value, BinderyError>, for key: Key, _ byteCount: (Value) -> UInt64) {
    var entry: (value: Value, byteCount: UInt64)?
    if case .success(let value) = result { entry = (value, byteCount(value)) }
    // Dropped values may be freed by this: not under the lock.
    var dropped: [Entry] = []
    state.withLock { state in
      state.made[key] = nil
      guard let entry else { return }
      state.useCount += 1
      state.ready[key] = Entry(value: entry.value, byteCount: entry.byteCount, lastUse: state.useCount)
      state.byteCount += entry.byteCount
      while state.byteCount > byteCountMax, state.ready.count > 1,
        let oldest = state.ready.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.byteCount -= oldest.value.byteCount
        state.ready[oldest.key] = nil
        dropped.append(oldest.value)
      }
    }
    dropped.removeAll()
  }
}
