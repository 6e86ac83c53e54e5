import Testing
import VirtualMemory

@Suite("Reserved addresses")
struct AddressReservationTests {
  let page = hostPageByteCount

  @Test("pages start without memory, hold bytes once committed, and read zero after a discard")
  func commitWriteDiscard() throws {
    let reservation = try AddressReservation(byteCount: 64 * page)
    #expect(try reservation.residentByteCount(at: 0, byteCount: 64 * page) == 0)
    try reservation.commit(at: 8 * page, byteCount: 4 * page)
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: reservation.base + 8 * page, count: 4 * page)
    for index in bytes.indices { unsafe bytes[index] = 7 }
    #expect(try reservation.residentByteCount(at: 0, byteCount: 64 * page) == 4 * page)
    try reservation.discard(at: 9 * page, byteCount: page)
    #expect(unsafe bytes[page - 1] == 7 && bytes[page] == 0 && bytes[2 * page - 1] == 0 && bytes[2 * page] == 7)
    try reservation.replace(at: 8 * page, byteCount: 4 * page, access: .read)
    #expect(unsafe bytes.allSatisfy { $0 == 0 })
  }

  @Test("a terabyte of addresses costs no memory, and large reservations start on large pages")
  func terabyte() throws {
    let before = try ProcessMemory.current().residentByteCount
    let reservation = try AddressReservation(byteCount: 1 << 40)
    #expect(unsafe UInt(bitPattern: reservation.base) % UInt(AddressReservation.largePageByteCount) == 0)
    #expect(try ProcessMemory.current().residentByteCount - before < 256 << 20)  // Other tests run beside this one.
    #expect(reservation.byteCount == 1 << 40)
  }

  @Test("more addresses than there are is an error with the operation, the errno and the size")
  func tooMuch() throws {
    let error = #expect(throws: VirtualMemoryError.self) { _ = try AddressReservation(byteCount: 1 << 60) }
    #expect(error?.operation == .reserve && error?.errno == 12 && error?.byteCount == 1 << 60)
    #expect(error?.description.hasPrefix("cannot reserve 1152921504606846976 bytes of address space: ") == true)
    #expect(throws: VirtualMemoryError.self) { _ = try AddressReservation(byteCount: .max) }
    #expect(throws: VirtualMemoryError.self) { _ = try AddressReservation(byteCount: -1) }
  }

  @Test("a released reservation leaves no mapping behind")
  func released() throws {
    // Other tests map and unmap meanwhile, so a leak is looked for that no test beside this one could make.
    let before = try ProcessMemory.mappingCount()
    for _ in 0..<5000 {
      let reservation = try AddressReservation(byteCount: 16 * page)
      try reservation.commit(at: 4 * page, byteCount: page)
    }
    #expect(try ProcessMemory.mappingCount() - before < 1000)
  }
}
