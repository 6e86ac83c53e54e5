import Bindery
import Foundation
import Synchronization
import VirtualMemory
import WasmRuntime

/// Notes the resident anonymous memory of this process and of the activations in it, every few milliseconds, on a thread of
/// its own.
final class MemorySampler: Sendable {
  private let samples = Mutex<[MemoryWorker.Sample]>([])
  private let isEnding = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  init(scratches: [Memory]) {
    let start = ContinuousClock.now
    Thread { [self] in
      while !isEnding.load(ordering: .acquiring) {
        if let bytes = try? ProcessMemory.residentAnonymousByteCount() {
          let scratchBytes = scratches.reduce(0) { $0 + Int((try? $1.residentByteCount()) ?? 0) }
          let time = (ContinuousClock.now - start) / .seconds(1)
          samples.withLock { $0.append(MemoryWorker.Sample(seconds: time, rssAnonBytes: bytes, scratchBytes: scratchBytes)) }
        }
        Thread.sleep(forTimeInterval: 0.008)
      }
      ended.signal()
    }.start()
  }

  /// Stops, and gives what was noted. To be called once.
  func end() -> [MemoryWorker.Sample] {
    isEnding.store(true, ordering: .releasing)
    ended.wait()
    return samples.withLock { $0 }
  }
}

/// Gives back the activations of sessions that have had nothing to do for a while, on a thread of its own, as a server would.
final class IdleDiscarder: Sendable {
  /// Since when each session is idle; nil: it is busy, or has given back already.
  private let idleSince: Mutex<[ContinuousClock.Instant?]>
  private let isEnding = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  init(sessions: [Session], idleSeconds: Double) {
    idleSince = Mutex(Array(repeating: nil, count: sessions.count))
    Thread { [self] in
      while !isEnding.load(ordering: .acquiring) || idleSince.withLock({ $0.contains { $0 != nil } }) {
        let now = ContinuousClock.now
        let due = idleSince.withLock { idleSince in
          let due = idleSince.indices.filter { index in idleSince[index].map { now - $0 >= .seconds(idleSeconds) } ?? false }
          for index in due { idleSince[index] = nil }
          return due
        }
        // A session that has just become busy is waited for, and its scratch is given back once too often: harmless.
        for index in due { sessions[index].discardScratch() }
        Thread.sleep(forTimeInterval: 0.02)
      }
      ended.signal()
    }.start()
  }

  func begin(_ session: Int) { idleSince.withLock { $0[session] = nil } }
  func end(_ session: Int) { idleSince.withLock { $0[session] = .now } }

  /// Waits until all sessions have given back, and stops the thread. To be called once, when no session is busy.
  func finish() {
    isEnding.store(true, ordering: .releasing)
    ended.wait()
  }
}

/// Interrupts by which processors were told to forget address translations, of the whole system.
enum ShootdownCount {
  /// From the line `TLB:` of /proc/interrupts, a number for each processor; nil where there is none (not Linux, not x86).
  static func now() -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/interrupts", encoding: .utf8) else { return nil }
    let line = text.split(separator: "\n").first { $0.drop(while: { $0 == " " }).hasPrefix("TLB:") }
    return line?.split(separator: " ").dropFirst().compactMap { Int($0) }.reduce(0, +)
  }
}
