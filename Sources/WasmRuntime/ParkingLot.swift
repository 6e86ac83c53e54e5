import CPlatform

/// What a waiting thread sleeps on, and others ring to have it look around.
///
/// Rings are counted. Who reads the count, looks, and then sleeps on that count misses no ring.
@safe
final class Bell: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): the word is only touched atomically, and lives as long as this.
  private let word: UnsafeMutablePointer<UInt32>

  init() {
    unsafe word = .allocate(capacity: 1)
    unsafe word.initialize(to: 0)
  }

  deinit { unsafe word.deallocate() }

  var count: UInt32 { unsafe bindery_atomic_load(word) }

  func ring() {
    _ = unsafe bindery_atomic_add(word, 1)
    unsafe bindery_futex_wake(word, Int32.max)
  }

  /// Sleeps until the count differs, at most that long (negative: no limit), or a little for no reason.
  func sleep(while count: UInt32, nanoseconds: Int64) {
    _ = unsafe bindery_futex_wait(word, count, nanoseconds)
  }
}

/// Threads that wait on addresses of one memory, in the order they came.
@safe
final class ParkingLot {
  private final class Waiter {
    let bell: Bell
    var isNotified = false
    init(_ bell: Bell) { self.bell = bell }
  }

  private let lock: OpaquePointer
  /// Under the lock.
  private var queues: [UInt64: [Waiter]] = [:]

  init() { unsafe lock = unsafe bindery_lock_create() }

  // SAFETY: nobody waits, or it would hold the memory.
  deinit { unsafe bindery_lock_destroy(lock) }

  /// Notifies up to `count` waiters, and returns how many there were.
  func notify(_ address: UInt64, count: UInt32) -> UInt32 {
    var woken: ArraySlice<Waiter> = []
    locked {
      guard let queue = queues[address] else { return }
      woken = queue.prefix(Int(count))
      for waiter in woken { waiter.isNotified = true }
      queues[address] = woken.count == queue.count ? nil : Array(queue.dropFirst(woken.count))
    }
    for waiter in woken { waiter.bell.ring() }
    return UInt32(woken.count)
  }

  /// Parks this thread, if `isExpected` under the lot's lock: a notification after the value was changed cannot be missed.
  func wait(
    _ address: UInt64, timeout: Duration?, bell: Bell, isExpected: () throws(Trap) -> Bool,
    checkInterrupt: () throws(Trap) -> Void
  ) throws(Trap) -> WaitResult {
    let clock = ContinuousClock()
    let deadline = timeout.map { clock.now + $0 }
    let waiter = Waiter(bell)
    var count: UInt32 = 0
    let isParked = try locked { () throws(Trap) in
      guard try isExpected() else { return false }
      queues[address, default: []].append(waiter)
      count = bell.count
      return true
    }
    guard isParked else { return .notEqual }
    while true {
      if locked({ waiter.isNotified }) { return .woken }
      do throws(Trap) {
        try checkInterrupt()
      } catch {
        // Who was notified before it could leave has taken the notification, and stops at its next safepoint.
        if leave(address, waiter) { throw error }
        return .woken
      }
      var nanoseconds: Int64 = -1
      if let deadline {
        let rest = clock.now.duration(to: deadline)
        guard rest > .zero else { return leave(address, waiter) ? .timedOut : .woken }
        nanoseconds = Int64(min(rest, .seconds(3600)) / .nanoseconds(1)) + 1
      }
      bell.sleep(while: count, nanoseconds: nanoseconds)
      count = bell.count
    }
  }

  /// False if the waiter has been notified.
  private func leave(_ address: UInt64, _ waiter: Waiter) -> Bool {
    locked {
      if waiter.isNotified { return false }
      queues[address]?.removeAll { $0 === waiter }
      if queues[address]?.isEmpty == true { queues[address] = nil }
      return true
    }
  }

  private func locked<Result>(_ body: () throws(Trap) -> Result) throws(Trap) -> Result {
    // SAFETY: the lock lives from init to deinit.
    unsafe bindery_lock_acquire(lock)
    defer { unsafe bindery_lock_release(lock) }
    return try body()
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    unsafe bindery_lock_acquire(lock)
    defer { unsafe bindery_lock_release(lock) }
    return body()
  }
}
