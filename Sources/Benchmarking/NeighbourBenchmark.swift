import Foundation
import Synchronization
import WasmRuntime
import WebAssembly

/// What a guest that gives memory back costs its neighbour on another thread: changing the page tables of a process interrupts
/// every processor that runs one of its threads (a TLB shootdown).
///
/// One thread runs passes of a guest over 16 MB of weights. The other touches and gives back 1 MB of another memory, so many
/// times a second.
enum NeighbourBenchmark {
  /// What the other thread does with its memory.
  enum Activity: String, Codable, CaseIterable {
    case none
    /// Touches and gives back.
    case discard
    /// Touches and zeroes in place: the same stores, no change of page tables.
    case zero
  }

  struct Result: Codable, Sendable {
    let activity: String
    /// Asked for and reached; nil: as often as it goes.
    let perSecondAsked: Int?
    var perSecond: Double
    /// GB/s of the neighbour's passes, and as a ratio to those without any activity.
    var gigabytesPerSecond: Double
    var ratio: Double
  }

  private static let byteCount: UInt64 = 1 << 20

  /// - Parameters: path: a file of weights for the neighbour. - seconds: of each measurement.
  static func run(path: String, seconds: Double, rounds: Int) throws -> [Result] {
    let guest = try WeightGuest(WeightGuest.Program(.map), path: path)
    try guest.pass()
    let cases: [(Activity, Int?)] = [(.none, nil), (.discard, 100), (.discard, 1000), (.discard, nil), (.zero, nil)]
    var measured: [[(perSecond: Double, speed: Double)]] = Array(repeating: [], count: cases.count)
    for _ in 0..<rounds {
      for (index, (activity, rate)) in cases.enumerated() {
        measured[index].append(try measure(guest, activity, rate, seconds))
      }
    }
    let base = median(measured[0].map(\.speed))
    return zip(cases, measured).map { entry, values in
      let speed = median(values.map(\.speed))
      return Result(
        activity: entry.0.rawValue, perSecondAsked: entry.1, perSecond: median(values.map(\.perSecond)), gigabytesPerSecond: speed / 1e9,
        ratio: speed / base)
    }
  }

  private static func measure(
    _ guest: WeightGuest, _ activity: Activity, _ rate: Int?, _ seconds: Double
  ) throws -> (perSecond: Double, speed: Double) {
    let memory = try Memory(type: MemoryType(limits: Limits(minimum: byteCount >> 16, maximum: byteCount >> 16)))
    let worker = DisturbingThread(memory: memory, activity: activity, rate: rate)
    let clock = ContinuousClock()
    let start = clock.now
    var passCount = 0.0
    while (clock.now - start) / .seconds(1) < seconds {
      try guest.pass()
      passCount += 1
    }
    let elapsed = (clock.now - start) / .seconds(1)
    return (Double(worker.end()) / elapsed, passCount * Double(guest.byteCount) / elapsed)
  }

  /// Does its activity until it is told to end.
  private final class DisturbingThread: Sendable {
    private let isEnding = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    private let ended = DispatchSemaphore(value: 0)

    init(memory: Memory, activity: Activity, rate: Int?) {
      Thread { [self] in
        let zeros = [UInt8](repeating: 0, count: Int(byteCount))
        let ones = [UInt8](repeating: 1, count: Int(byteCount))
        let pause = rate.map { 1 / Double($0) }
        var next = ContinuousClock.now
        while !isEnding.load(ordering: .acquiring) {
          if activity == .none {
            Thread.sleep(forTimeInterval: 0.01)
            continue
          }
          // Neither can fail on a plain memory of this size.
          try? memory.write(ones, address: 0)
          if activity == .zero { try? memory.write(zeros, address: 0) } else { _ = try? memory.discard(address: 0, byteCount: byteCount) }
          count.add(1, ordering: .relaxed)
          if let pause {
            next = next.advanced(by: .seconds(pause))
            let left = (next - ContinuousClock.now) / .seconds(1)
            if left > 0 { Thread.sleep(forTimeInterval: left) } else { next = ContinuousClock.now }
          }
        }
        ended.signal()
      }.start()
    }

    func end() -> Int {
      isEnding.store(true, ordering: .releasing)
      ended.wait()
      return count.load(ordering: .acquiring)
    }
  }
}
