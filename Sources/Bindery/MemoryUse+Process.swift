import VirtualMemory

extension MemoryUse {
  /// Fills in what the system says about this process; zeroes where it says nothing.
  mutating func measureProcess() {
    guard let process = try? ProcessMemory.current() else { return }
    residentAnonymousByteCount = UInt64(process.residentAnonymousByteCount)
    residentFileByteCount = UInt64(process.residentFileByteCount)
    proportionalByteCount = UInt64(process.proportionalByteCount)
  }
}
