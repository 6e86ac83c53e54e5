import BinaryReading
import Synchronization
import WasmRuntime

/// What a session's guests write with `bindery.log`, on its way to the host's log: escaped, each message cut, and all of them together
/// limited, since a guest that logs without end would fill disks and terminals of the host.
final class SessionLog: Sendable {
  /// Bytes of one message; longer ones are cut.
  static let messageByteCountMax: UInt64 = 1 << 13
  /// What a message counts at least, so that empty ones end too.
  private static let messageByteCountMin = 64

  private let sink: (@Sendable (String) -> Void)?
  private let left: Mutex<Int>

  init(_ sink: (@Sendable (String) -> Void)?, byteCountMax: Int) {
    self.sink = sink
    left = Mutex(max(0, byteCountMax))
  }

  /// A message in a guest's memory.
  /// - Throws: why the range cannot be read.
  func write(_ memory: Memory, address: UInt64, byteCount: UInt64) throws(MemoryAccessError) {
    // A bad range traps, whether anybody listens or not, and whether all of it is read or not.
    guard !address.addingReportingOverflow(byteCount).overflow, address + byteCount <= memory.byteCount else {
      throw MemoryAccessError(.outOfBounds, address: address, byteCount: byteCount)
    }
    guard let sink, admits(byteCount) else { return }
    let bytes = try memory.read(address: address, byteCount: min(byteCount, Self.messageByteCountMax))
    sink(bytes.escapedForTerminal + (byteCount > Self.messageByteCountMax ? " ... (\(byteCount) bytes)" : ""))
  }

  /// A message of the kernels, which are guests too.
  func write(_ text: String) {
    let bytes = text.utf8.prefix(Int(Self.messageByteCountMax))
    guard let sink, admits(UInt64(bytes.count)) else { return }
    sink(Array(bytes).escapedForTerminal)
  }

  /// Takes a message from what is left. The first one that does not fit is replaced by a note.
  private func admits(_ byteCount: UInt64) -> Bool {
    let cost = max(Self.messageByteCountMin, Int(min(byteCount, Self.messageByteCountMax)))
    let (fits, isFirst) = left.withLock { left in
      guard left >= cost else {
        defer { left = -1 }
        return (false, left >= 0)
      }
      left -= cost
      return (true, false)
    }
    if isFirst { sink?("(further messages of this program are dropped: the limit of its log is reached)") }
    return fits
  }
}
