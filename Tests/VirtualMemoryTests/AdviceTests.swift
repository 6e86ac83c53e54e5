import Foundation
import Testing
import VirtualMemory
import _TestSupport

@Suite("Advice about pages")
struct AdviceTests {
  let large = AddressReservation.largePageByteCount

  /// Field `name` of the mapping that holds an address, in bytes, from /proc/self/smaps.
  private func mappingField(_ names: Set<String>, at address: UInt) throws -> Int {
    var (isInside, sum) = (false, 0)
    for line in String(decoding: try ProcessMemory.contents(of: "/proc/self/smaps"), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      let bounds = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      if bounds.count == 2 {
        isInside = (bounds[0]..<bounds[1]).contains(address)
      } else if isInside, words.count == 3, names.contains(String(words[0].dropLast())) {
        sum += (Int(words[1]) ?? 0) * 1024
      }
    }
    return sum
  }

  private static let givesHugePages: Bool = {
    let setting = try? String(contentsOfFile: "/sys/kernel/mm/transparent_hugepage/enabled", encoding: .utf8)
    return setting.map { !$0.contains("[never]") } ?? false
  }()

  @Test("no advice changes a byte, of anonymous pages or of a file's", arguments: MemoryAdvice.allCases)
  func contentsStay(_ advice: MemoryAdvice) throws {
    let page = hostPageByteCount
    let folder = try TemporaryFolder()
    let bytes = (0..<(8 * page)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
    let file = try RegularFile(path: try folder.write(bytes, to: "f"))
    let reservation = try AddressReservation(byteCount: 16 * page)
    try reservation.commit(at: 0, byteCount: 8 * page)
    try reservation.map(file, fileOffset: 0, at: 8 * page, byteCount: 8 * page, access: .read)
    let anonymous = unsafe UnsafeMutableRawBufferPointer(start: reservation.base, count: 8 * page)
    for index in anonymous.indices { unsafe anonymous[index] = bytes[index] }
    let isTaken = try reservation.advise(advice, at: 2 * page, byteCount: (advice == .populateWrite ? 6 : 12) * page)
    if advice == .populateWrite, isTaken { #expect(try reservation.residentByteCount(at: 2 * page, byteCount: 6 * page) == 6 * page) }
    try reservation.advise(advice, at: 0, byteCount: 0)
    let all = unsafe UnsafeMutableRawBufferPointer(start: reservation.base, count: 16 * page)
    #expect(unsafe Array(all) == bytes + bytes)
  }

  @Test("pages of a file are all mapped after they were populated, none before")
  func populate() throws {
    let folder = try TemporaryFolder()
    let count = 4 << 20
    let file = try RegularFile(path: try folder.write([UInt8](repeating: 3, count: count), to: "f"))
    let reservation = try AddressReservation(byteCount: count)
    try reservation.map(file, fileOffset: 0, at: 0, byteCount: count, access: .read)
    #expect(try reservation.residentByteCount(at: 0, byteCount: count) == 0)
    // A Linux before 5.14 does not know it.
    guard try reservation.advise(.populateRead, at: 0, byteCount: count) else { return }
    #expect(try reservation.residentByteCount(at: 0, byteCount: count) == count)
  }

  @Test("populating a file that has become shorter is an error, not a signal")
  func populateLost() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([UInt8](repeating: 3, count: 1 << 20), to: "f")
    let reservation = try AddressReservation(byteCount: 1 << 20)
    try reservation.map(try RegularFile(path: path), fileOffset: 0, at: 0, byteCount: 1 << 20, access: .read)
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 1 << 16)
    do throws(VirtualMemoryError) {
      #expect(try reservation.advise(.populateRead, at: 0, byteCount: 1 << 20) == false, "a system that knows the advice must fail")
    } catch {
      #expect(error.operation == .advise && error.errno == EFAULT)
      #expect(error.description == "cannot bring in 1048576 mapped bytes: Bad address (errno 14)")
    }
  }

  @Test("pages without the access cannot be populated: the advice is not taken")
  func populateWithoutAccess() throws {
    let page = hostPageByteCount
    let reservation = try AddressReservation(byteCount: 4 * page)
    #expect(try reservation.advise(.populateRead, at: 0, byteCount: 4 * page) == false)
    try reservation.protect(at: 0, byteCount: 4 * page, access: .read)
    #expect(try reservation.advise(.populateWrite, at: 0, byteCount: 4 * page) == false)
    #expect(try reservation.residentByteCount(at: 0, byteCount: 4 * page) == 0)
  }

  @Test("pages populated for writing are resident before they are touched, and zero")
  func populateWrite() throws {
    let page = hostPageByteCount
    let reservation = try AddressReservation(byteCount: 64 * page)
    try reservation.commit(at: 0, byteCount: 32 * page)
    guard try reservation.advise(.populateWrite, at: 0, byteCount: 32 * page) else { return }
    #expect(try reservation.residentByteCount(at: 0, byteCount: 64 * page) == 32 * page)
    #expect(unsafe UnsafeRawBufferPointer(start: reservation.base, count: 32 * page).allSatisfy { $0 == 0 })
  }

  @Test("anonymous pages are large where that was asked for and the system gives them, and small where it was forbidden")
  func hugePages() throws {
    let reservation = try AddressReservation(byteCount: 16 * large)
    try reservation.commit(at: 0, byteCount: 16 * large)
    try reservation.advise(.noHugePages, at: 0, byteCount: 8 * large)
    let isTaken = try reservation.advise(.hugePages, at: 8 * large, byteCount: 8 * large)
    let base = unsafe UInt(bitPattern: reservation.base)
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: reservation.base, count: reservation.byteCount)
    for offset in stride(from: 0, to: reservation.byteCount, by: 4096) { unsafe bytes[offset] = 1 }
    #expect(try mappingField(["AnonHugePages"], at: base) == 0)
    #expect(try mappingField(["Rss"], at: base) == 8 * large)
    guard isTaken, Self.givesHugePages else { return }
    let huge = try mappingField(["AnonHugePages"], at: base + UInt(8 * large))
    // A machine whose memory is in pieces may have none: then the pages are small, and all there.
    #expect(huge % large == 0 && huge <= 8 * large)
    #expect(try mappingField(["Rss"], at: base + UInt(8 * large)) == 8 * large)
    #expect(try ProcessMemory.current().largePageByteCount >= huge)
  }
}
