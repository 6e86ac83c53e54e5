import Bindery
import Foundation
import Synchronization
import Testing

@Suite("Cache of compiled programs")
struct CompilationCacheTests {
  private func take(
    _ cache: CompilationCache<String, Int>, _ key: String, bytes: UInt64 = 1, make: () throws(BinderyError) -> Int
  ) throws -> Int {
    try cache.value(for: key, byteCount: { _ in bytes }, make: make)
  }

  @Test("what is being made is not made twice, and nobody who wants something else waits for it")
  func sharesWork() throws {
    let cache = CompilationCache<String, Int>(byteCountMax: 100)
    let makes = Atomic<Int>(0)
    let (begun, other) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let results = Mutex<[Int]>([])
    let threads = DispatchGroup()
    for index in 0..<3 {
      let thread = Thread {
        let value = try? cache.value(for: "slow", byteCount: { _ in 1 }) { () throws(BinderyError) in
          makes.wrappingAdd(1, ordering: .relaxed)
          begun.signal()
          // Ends only when the other value was made meanwhile. Under one lock for all it would wait in vain.
          return other.wait(timeout: .now() + 20) == .success ? 7 : 0
        }
        results.withLock { $0.append(value ?? -1) }
        threads.leave()
      }
      threads.enter()
      thread.start()
      if index == 0 { #expect(begun.wait(timeout: .now() + 20) == .success) }
    }
    #expect(try take(cache, "fast") { () throws(BinderyError) in 8 } == 8)
    other.signal()
    threads.wait()
    #expect(results.withLock(\.self) == [7, 7, 7])
    #expect(makes.load(ordering: .relaxed) == 1)
    #expect(try take(cache, "slow") { () throws(BinderyError) in 0 } == 7)
  }

  @Test("the bytes are bounded: what was used least recently goes first")
  func evicts() throws {
    let cache = CompilationCache<String, Int>(byteCountMax: 10)
    for (key, bytes) in [("a", 4), ("b", 4)] as [(String, UInt64)] { _ = try take(cache, key, bytes: bytes) { () throws(BinderyError) in 0 } }
    _ = try take(cache, "a") { () throws(BinderyError) in 1 }
    _ = try take(cache, "c", bytes: 4) { () throws(BinderyError) in 0 }
    #expect(cache.keys == ["a", "c"])
    // One that is larger than all is kept alone.
    _ = try take(cache, "large", bytes: 11) { () throws(BinderyError) in 0 }
    #expect(cache.keys == ["large"])
    _ = try take(cache, "d", bytes: 4) { () throws(BinderyError) in 0 }
    #expect(cache.keys == ["d"])
  }

  @Test("a failure is told and not kept")
  func forgetsFailures() throws {
    let cache = CompilationCache<String, Int>(byteCountMax: 10)
    #expect(throws: BinderyError.self) {
      try take(cache, "a") { () throws(BinderyError) in throw BinderyError(.malformedInput, "no") }
    }
    #expect(cache.keys.isEmpty)
    #expect(try take(cache, "a") { () throws(BinderyError) in 3 } == 3)
  }
}
