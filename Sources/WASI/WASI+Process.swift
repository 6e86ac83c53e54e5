import CPlatform
import SystemFiles
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

// Arguments, environment, clocks, random numbers.
extension WASI {
  func argumentsGet(_ call: GuestCall) throws { try putStrings(configuration.arguments, call) }

  func argumentsSizes(_ call: GuestCall) throws { try putSizes(configuration.arguments, call) }

  func environmentGet(_ call: GuestCall) throws { try putStrings(environmentStrings, call) }

  func environmentSizes(_ call: GuestCall) throws { try putSizes(environmentStrings, call) }

  private var environmentStrings: [SystemString] {
    configuration.environment.map { SystemString($0.name.bytes + [UInt8(ascii: "=")] + $0.value.bytes) }
  }

  /// Pointers to the strings at the first argument, the strings with their zeroes at the second.
  private func putStrings(_ strings: [SystemString], _ call: GuestCall) throws {
    var bytes: [UInt8] = []
    var pointers: [UInt32] = []
    let start = call.u32(1)
    for string in strings {
      pointers.append(start &+ UInt32(truncatingIfNeeded: bytes.count))
      bytes += string.bytes + [0]
    }
    try call.memory.write(elements: pointers, address: call.address(0))
    try call.memory.write(bytes, address: call.address(1))
  }

  private func putSizes(_ strings: [SystemString], _ call: GuestCall) throws {
    let byteCount = strings.reduce(0) { $0 + $1.bytes.count + 1 }
    guard let count = UInt32(exactly: strings.count), let size = UInt32(exactly: byteCount) else { throw WASIErrno.overflow }
    try call.store(count, at: call.address(0))
    try call.store(size, at: call.address(1))
  }

  // MARK: Clocks

  /// The host's clock of a number of WASI.
  static func clock(_ number: UInt32) throws(WASIErrno) -> clockid_t {
    switch number {
    case 0: CLOCK_REALTIME
    case 1: CLOCK_MONOTONIC
    case 2: CLOCK_PROCESS_CPUTIME_ID
    case 3: CLOCK_THREAD_CPUTIME_ID
    default: throw .invalid
    }
  }

  /// A time in nanoseconds, as a clock or a file has it.
  static func nanoseconds(_ time: timespec) -> UInt64 {
    // Times before 1970 cannot be said; those after 2554 wrap around, as in every host.
    UInt64(truncatingIfNeeded: max(0, time.tv_sec)) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
  }

  static func now(_ clock: clockid_t) throws(WASIErrno) -> UInt64 {
    var time = timespec()
    // SAFETY: the result is written only on success.
    guard unsafe clock_gettime(clock, &time) == 0 else { throw WASIErrno(host: errno) }
    return nanoseconds(time)
  }

  func clockResolution(_ call: GuestCall) throws {
    var time = timespec()
    // SAFETY: the result is written only on success.
    guard unsafe clock_getres(try Self.clock(call.u32(0)), &time) == 0 else { throw WASIErrno(host: errno) }
    try call.store(Self.nanoseconds(time), at: call.address(1))
  }

  func clockTime(_ call: GuestCall) throws {
    try call.store(Self.now(Self.clock(call.u32(0))), at: call.address(2))
  }

  func random(_ call: GuestCall) throws {
    let (address, byteCount) = (call.address(0), UInt64(call.u32(1)))
    try call.checkWritable(address, byteCount: byteCount)
    // A gibibyte takes seconds.
    let pieceByteCount: UInt64 = 1 << 20
    var done: UInt64 = 0
    while done < byteCount {
      try call.store.checkInterrupt()
      let count = min(pieceByteCount, byteCount - done)
      let failure = try unsafe call.memory.withUnsafeWritableBytes(address: address + done, byteCount: count) { bytes in
        // SAFETY: as many bytes as the buffer has.
        unsafe bindery_random(bytes.baseAddress, bytes.count)
      }
      try WASIErrno.check(failure)
      done += count
    }
  }
}
