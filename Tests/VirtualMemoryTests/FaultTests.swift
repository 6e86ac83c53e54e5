import Foundation
import Testing
import VirtualMemory
import _TestSupport

/// Each in a process of its own: they end it, or change it for good.
@Suite("Faults of the process")
struct FaultTests {
  @Test(
    "a SIGBUS that is not about a mapped file still ends the process",
    .disabled(if: isAddressSanitized, "AddressSanitizer ends the process in its own way"))
  func foreignSignal() async {
    await #expect(processExitsWith: .signal(SIGBUS)) {
      let folder = try TemporaryFolder()
      let file = try MappedFile(path: try folder.write([1, 2, 3], to: "f"))
      #expect(file.byteCount == 3)
      raise(SIGBUS)
    }
  }

  @Test("a handler that was there before is called for what is not ours")
  func previousHandler() async {
    await #expect(processExitsWith: .exitCode(42)) {
      signal(SIGBUS) { _ in _exit(42) }
      let folder = try TemporaryFolder()
      let path = try folder.write(Array(repeating: 7, count: 100_000), to: "f")
      let file = try MappedFile(path: path)
      try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 0)
      guard unsafe file.withUnsafeBytes({ unsafe $0[50_000] }) == 0, file.isLost else { _exit(1) }
      raise(SIGBUS)
    }
  }

  @Test(
    "a page of a file that is mapped outside our ranges still ends the process when the file shrinks",
    .disabled(if: isAddressSanitized, "AddressSanitizer ends the process in its own way"))
  func foreignMapping() async {
    await #expect(processExitsWith: .signal(SIGBUS)) {
      let folder = try TemporaryFolder()
      let path = try folder.write(Array(repeating: 7, count: 100_000), to: "f")
      let reservation = try AddressReservation(byteCount: 1 << 20)
      let file = try RegularFile(path: path)
      // Mapped, but watched by nobody; the handler is installed by the mapping of the other file.
      try reservation.map(file, fileOffset: 0, at: 0, byteCount: 98_304, access: .read)
      let other = try MappedFile(path: try folder.write([1], to: "g"))
      try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 0)
      print(unsafe reservation.base.load(fromByteOffset: 50_000, as: UInt8.self), other.byteCount)
    }
  }
}
