import Foundation
import Testing
import VirtualMemory
import _TestSupport

/// Lost pages of watched ranges: how many mappings they take, and what they leave alone.
@Suite("Watched ranges of files that shrink", .serialized)
struct FaultRangeTests {
  let folder: TemporaryFolder
  let page = hostPageByteCount

  init() throws { folder = try TemporaryFolder() }

  /// A sparse file of so many pages, each beginning with a 1.
  private func file(pageCount: Int, marking: Bool = false) throws -> String {
    let path = try folder.write([1], to: "f\(pageCount)")
    let handle = try FileHandle(forWritingTo: URL(filePath: path))
    try handle.truncate(atOffset: UInt64(pageCount * page))
    if marking {
      for index in 0..<pageCount {
        try handle.seek(toOffset: UInt64(index * page))
        try handle.write(contentsOf: Data([1]))
      }
    }
    return path
  }

  private func map(_ path: String, pageCount: Int) throws -> AddressReservation {
    let reservation = try AddressReservation(byteCount: pageCount * page)
    try reservation.map(try RegularFile(path: path), fileOffset: 0, at: 0, byteCount: pageCount * page, access: .read)
    return reservation
  }

  private func byte(_ reservation: borrowing AddressReservation, page index: Int) -> UInt8 {
    // SAFETY: the tests stay within what they have reserved and mapped.
    unsafe reservation.base.load(fromByteOffset: index * page, as: UInt8.self)
  }

  private func truncate(_ path: String, pageCount: Int) throws {
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: UInt64(pageCount * page))
  }

  @Test("however many pages are lost, they take one mapping and one fault")
  func oneMapping() throws {
    let path = try file(pageCount: 20_000)
    let reservation = try map(path, pageCount: 20_000)
    let watch = try unsafe FaultRange(address: reservation.base, byteCount: 20_000 * page)
    try truncate(path, pageCount: 1)
    let (mappings, losses) = (try ProcessMemory.mappingCount(), lostPageCount)
    // In an order that would leave a mapping for each, were they replaced one by one.
    for index in stride(from: 1, to: 20_000, by: 2) { #expect(byte(reservation, page: index) == 0) }
    #expect(watch.isLost && lostPageCount == losses + 1)
    // Other suites run at the same time, and map.
    #expect(try ProcessMemory.mappingCount() < mappings + 2000)
    watch.end()
  }

  @Test("pages that became something else are left alone, and the others are still watched", arguments: [false, true])
  func holes(isScattered: Bool) throws {
    let path = try file(pageCount: 30, marking: true)
    let reservation = try map(path, pageCount: 30)
    let watch = try unsafe FaultRange(address: reservation.base, byteCount: 30 * page)
    // A hole in the middle, one at each end, one beside another.
    for range in [10..<12, 0..<2, 28..<30, 12..<14, 20..<21] {
      try reservation.replace(at: range.lowerBound * page, byteCount: range.count * page, access: .readWrite)
      if isScattered {
        watch.scatter()
      } else {
        unsafe watch.forget(reservation.base + range.lowerBound * page, byteCount: range.count * page)
      }
      for index in range { unsafe reservation.base.storeBytes(of: 7, toByteOffset: index * page, as: UInt8.self) }
    }
    #expect(byte(reservation, page: 5) == 1 && !watch.isLost)
    try truncate(path, pageCount: 0)
    for index in 0..<30 {
      let isHole = [10..<14, 0..<2, 28..<30, 20..<21].contains { $0.contains(index) }
      #expect(byte(reservation, page: index) == (isHole ? 7 : 0), "page \(index)")
    }
    #expect(watch.isLost)
    watch.end()
  }

  @Test("a watch that is used again starts anew")
  func usedAgain() throws {
    let path = try file(pageCount: 4, marking: true)
    let reservation = try map(path, pageCount: 4)
    var watch = try unsafe FaultRange(address: reservation.base, byteCount: 4 * page)
    watch.scatter()
    try truncate(path, pageCount: 1)
    #expect(byte(reservation, page: 2) == 0 && watch.isLost)
    watch.end()
    for _ in 0..<100 {
      watch = try unsafe FaultRange(address: reservation.base, byteCount: 4 * page)
      #expect(!watch.isLost)
      unsafe watch.forget(reservation.base + page, byteCount: page)
      watch.end()
    }
  }

  @Test("ranges are lost, cut and given up on several threads at once")
  func manyThreads() async throws {
    await withTaskGroup(of: Bool.self) { group in
      for thread in 0..<4 {
        group.addTask {
          do {
            let folder = try TemporaryFolder()
            for round in 0..<60 {
              let path = try folder.write(Array(repeating: 1, count: 16 * page), to: "g\(thread)-\(round)")
              let reservation = try AddressReservation(byteCount: 16 * page)
              try reservation.map(try RegularFile(path: path), fileOffset: 0, at: 0, byteCount: 16 * page, access: .read)
              let watch = try unsafe FaultRange(address: reservation.base, byteCount: 16 * page)
              defer { watch.end() }
              try reservation.replace(at: 8 * page, byteCount: page, access: .readWrite)
              unsafe watch.forget(reservation.base + 8 * page, byteCount: page)
              unsafe reservation.base.storeBytes(of: 9, toByteOffset: 8 * page, as: UInt8.self)
              try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 0)
              guard byte(reservation, page: 3) == 0, byte(reservation, page: 15) == 0, byte(reservation, page: 8) == 9, watch.isLost
              else { return false }
            }
            return true
          } catch { return false }
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
