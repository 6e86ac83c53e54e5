import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A call of the guest: its arguments, and the memory that its pointers point into.
///
/// A pointer to a range that the memory refuses ends the guest with the trap that its own access would give: the checks throw
/// `MemoryAccessError`, which is not a `WASIErrno` and so does not become a result.
struct GuestCall {
  let memory: Memory
  let arguments: Arguments
  let store: Store

  /// An argument that is 32 bits wide: number, pointer, length, flags.
  func u32(_ index: Int) -> UInt32 { arguments.i32(index) }
  func u64(_ index: Int) -> UInt64 { arguments.i64(index) }
  func address(_ index: Int) -> UInt64 { UInt64(arguments.i32(index)) }

  func load<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type, at address: UInt64
  ) throws(MemoryAccessError) -> Number {
    let byteCount = UInt64(MemoryLayout<Number>.size)
    // SAFETY: the buffer has the size of the number.
    return try unsafe memory.withUnsafeReadableBytes(address: address, byteCount: byteCount) { bytes in
      Number(littleEndian: unsafe bytes.loadUnaligned(as: Number.self))
    }
  }

  func store<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number, at address: UInt64) throws(MemoryAccessError) {
    let byteCount = UInt64(MemoryLayout<Number>.size)
    // SAFETY: the buffer has the size of the number.
    try unsafe memory.withUnsafeWritableBytes(address: address, byteCount: byteCount) { bytes in
      unsafe bytes.storeBytes(of: value.littleEndian, as: Number.self)
    }
  }

  /// A result that a pointer argument points to: checked before the work is done, so that a call that traps has no effect.
  func checkWritable(_ address: UInt64, byteCount: UInt64) throws(MemoryAccessError) {
    _ = try unsafe memory.writablePointer(address: address, byteCount: byteCount)
  }

  /// A path: pointer and length in two arguments.
  func path(_ index: Int) throws -> [UInt8] {
    let byteCount = u32(index + 1)
    // The longest path of Linux; more would only be copied to be refused.
    guard byteCount <= 4096 else { throw WASIErrno.nameTooLong }
    return try memory.read(address: address(index), byteCount: UInt64(byteCount))
  }

  /// The buffers of a vectored read or write, in place: every range is checked for its access before the first byte moves.
  /// Beyond the number of buffers that the system takes at once the call is partial, as it may be.
  func vectors(_ index: Int, writable: Bool) throws -> [iovec] {
    let (list, count) = (address(index), UInt64(u32(index + 1)))
    // The whole list must be readable, also what is not used.
    let bytes = try unsafe memory.readablePointer(address: list, byteCount: count * 8)
    var vectors: [iovec] = unsafe []
    for position in 0..<min(count, 1024) {
      // SAFETY: the list was checked above, two numbers of four bytes each.
      func number(at offset: Int) -> UInt64 {
        UInt64(UInt32(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: Int(position * 8) + offset, as: UInt32.self)))
      }
      let (start, length) = (number(at: 0), number(at: 4))
      let base =
        writable
        ? try unsafe memory.writablePointer(address: start, byteCount: length)
        : unsafe UnsafeMutableRawPointer(mutating: try memory.readablePointer(address: start, byteCount: length))
      unsafe vectors.append(iovec(iov_base: base, iov_len: Int(length)))
    }
    return unsafe vectors
  }
}
