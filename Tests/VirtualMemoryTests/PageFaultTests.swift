import Foundation
import Testing
import VirtualMemory
import _TestSupport

/// The counts that the gates on page faults are made of.
@Suite("Page faults of a thread", .enabled(if: PageFaultCounts.ofThisThread != nil), .disabled(if: isAddressSanitized))
struct PageFaultTests {
  private static let pageCount = 100

  /// Writes to each page of a reservation.
  private static func touch(_ reservation: borrowing AddressReservation) {
    for page in 0..<pageCount {
      // SAFETY: the pages are committed.
      unsafe (reservation.base + page * hostPageByteCount).storeBytes(of: 1, as: UInt8.self)
    }
  }

  private static func faults(_ body: () -> Void) throws -> Int {
    let before = try #require(PageFaultCounts.ofThisThread)
    body()
    return (try #require(PageFaultCounts.ofThisThread) - before).minor
  }

  @Test("a fresh page costs one fault, the same page again none, a discarded one another")
  func freshPages() throws {
    let byteCount = Self.pageCount * hostPageByteCount
    let reservation = try AddressReservation(byteCount: byteCount)
    try reservation.commit(at: 0, byteCount: byteCount)
    for _ in 0..<2 {
      let first = try Self.faults { Self.touch(reservation) }
      if SystemPages.faultsBringOnePage { #expect(first == Self.pageCount) } else { #expect(1...Self.pageCount ~= first) }
      #expect(try Self.faults { Self.touch(reservation) } == 0)
      try reservation.discard(at: 0, byteCount: byteCount)
    }
  }

  @Test("the faults of other threads are not counted")
  func otherThreads() throws {
    let done = DispatchSemaphore(value: 0)
    let found = try Self.faults {
      Thread.detachNewThread {
        if let reservation = try? AddressReservation(byteCount: Self.pageCount * hostPageByteCount),
          (try? reservation.commit(at: 0, byteCount: Self.pageCount * hostPageByteCount)) != nil
        {
          Self.touch(reservation)
        }
        done.signal()
      }
      done.wait()
    }
    // Starting a thread costs a few.
    #expect(found < Self.pageCount / 2, "\(found)")
  }
}
