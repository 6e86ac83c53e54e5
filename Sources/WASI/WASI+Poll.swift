import CPlatform
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

// Waiting: poll_oneoff, and reads from streams. A wait is cut into pieces, so that a guest that sleeps can be cancelled.
extension WASI {
  /// How long the system waits before the guest's run is looked at again.
  private static let sliceNanoseconds: UInt64 = 50_000_000

  private struct Subscription {
    enum Event {
      /// The end, by one of the host's clocks.
      case clock(clockid_t, end: UInt64)
      case descriptor(Descriptor, isWrite: Bool)
      case failed(WASIErrno)
    }
    let userData: UInt64
    let tag: UInt8
    let event: Event
  }

  /// Subscriptions, events, number of subscriptions, result.
  func poll(_ call: GuestCall) throws {
    let count = UInt64(call.u32(2))
    guard count > 0 else { throw WASIErrno.invalid }
    // More than there can be descriptors would only be copied.
    guard count <= UInt64(descriptors.countMax) + 64 else { throw WASIErrno.invalid }
    try call.checkWritable(call.address(1), byteCount: count * 32)
    try call.checkWritable(call.address(3), byteCount: 4)
    let subscriptions = try (0..<count).map { try subscription(at: call.address(0) + $0 * 48, call) }

    var events: [(Subscription, WASIErrno, byteCount: UInt64, hungUp: Bool)] = []
    while true {
      // Zero if something has happened already; the end of the wait at the latest.
      var timeout = Self.sliceNanoseconds
      for subscription in subscriptions {
        switch subscription.event {
        case .clock(let clock, let end): timeout = min(timeout, end.subtractingClamped(try Self.now(clock)))
        case .failed: timeout = 0
        case .descriptor: break
        }
      }
      let waiting = subscriptions.filter { if case .descriptor = $0.event { true } else { false } }
      let ready = try Self.wait(
        for: waiting.map { subscription in
          guard case .descriptor(let descriptor, let isWrite) = subscription.event else { preconditionFailure("filtered above") }
          return (descriptor.host, CInt(isWrite ? POLLOUT : POLLIN))
        }, nanoseconds: timeout)
      for (subscription, flags) in zip(waiting, ready) where flags != 0 {
        guard case .descriptor(let descriptor, let isWrite) = subscription.event else { continue }
        let hungUp = flags & CInt(POLLHUP) != 0
        if flags & CInt(POLLNVAL) != 0 {
          events.append((subscription, .badDescriptor, 0, false))
        } else if flags & CInt(POLLERR) != 0, !isWrite {
          events.append((subscription, .inputOutput, 0, hungUp))
        } else {
          events.append((subscription, .success, isWrite ? 1 : Self.readableByteCount(descriptor), hungUp))
        }
      }
      for subscription in subscriptions {
        switch subscription.event {
        case .clock(let clock, let end): if try Self.now(clock) >= end { events.append((subscription, .success, 0, false)) }
        case .failed(let errno): events.append((subscription, errno, 0, false))
        case .descriptor: break
        }
      }
      guard events.isEmpty else { break }
      try call.store.checkInterrupt()
    }

    for (index, (subscription, errno, byteCount, hungUp)) in events.enumerated() {
      let address = call.address(1) + UInt64(index) * 32
      try call.memory.write(Array(repeating: 0, count: 32), address: address)
      try call.store(subscription.userData, at: address)
      try call.store(errno.rawValue, at: address + 8)
      try call.store(subscription.tag, at: address + 10)
      try call.store(byteCount, at: address + 16)
      try call.store(UInt16(hungUp ? 1 : 0), at: address + 24)
    }
    try call.store(UInt32(events.count), at: call.address(3))
  }

  private func subscription(at address: UInt64, _ call: GuestCall) throws -> Subscription {
    let userData = try call.load(UInt64.self, at: address)
    let tag = try call.load(UInt8.self, at: address + 8)
    switch tag {
    case 0:
      let number = try call.load(UInt32.self, at: address + 16)
      let timeout = try call.load(UInt64.self, at: address + 24)
      let isAbsolute = try call.load(UInt16.self, at: address + 40) & 1 != 0
      // A thread's own time does not pass while it waits.
      guard number <= 1 else { return Subscription(userData: userData, tag: tag, event: .failed(.notSupported)) }
      let clock = try Self.clock(number)
      let end = isAbsolute ? timeout : timeout.addingClamped(try Self.now(clock))
      return Subscription(userData: userData, tag: tag, event: .clock(clock, end: end))
    case 1, 2:
      let number = try call.load(UInt32.self, at: address + 16)
      guard let descriptor = descriptors[number] else {
        return Subscription(userData: userData, tag: tag, event: .failed(.badDescriptor))
      }
      guard descriptor.rights.contains(.poll), descriptor.rights.contains(tag == 1 ? .read : .write) else {
        return Subscription(userData: userData, tag: tag, event: .failed(.notCapable))
      }
      return Subscription(userData: userData, tag: tag, event: .descriptor(descriptor, isWrite: tag == 2))
    default: throw WASIErrno.invalid
    }
  }

  /// Before a read or write that may wait: waits here, where it can be cancelled. Files are always ready.
  func waitUntilReady(_ descriptor: Descriptor, events: CInt, _ call: GuestCall) throws {
    guard try Self.waits(descriptor) else { return }
    while try Self.wait(for: [(descriptor.host, events)], nanoseconds: Self.sliceNanoseconds)[0] == 0 {
      try call.store.checkInterrupt()
    }
  }

  /// Whether a read or write of a descriptor waits for others.
  static func waits(_ descriptor: Descriptor) throws(WASIErrno) -> Bool {
    guard descriptor.type != .regularFile else { return false }
    var flags: CInt = 0
    // SAFETY: the result is written only on success.
    try WASIErrno.check(unsafe bindery_descriptor_flags(descriptor.host, &flags))
    return flags & O_NONBLOCK == 0
  }

  /// What has happened to each descriptor, all zero when the time has passed.
  private static func wait(for descriptors: [(CInt, CInt)], nanoseconds: UInt64) throws(WASIErrno) -> [CInt] {
    var list = descriptors.map { bindery_poll_entry(descriptor: $0.0, events: $0.1, results: 0) }
    // SAFETY: as many entries as the list has.
    let failure = unsafe list.withUnsafeMutableBufferPointer {
      unsafe bindery_poll($0.baseAddress, $0.count, Int64(nanoseconds))
    }
    try WASIErrno.check(failure)
    return list.map(\.results)
  }

  private static func readableByteCount(_ descriptor: Descriptor) -> UInt64 {
    if descriptor.type == .regularFile, let status = status(of: descriptor.host) {
      return UInt64(max(0, Int64(status.st_size) - Int64(lseek(descriptor.host, 0, SEEK_CUR))))
    }
    var count = 0
    // SAFETY: the result is written only on success.
    return unsafe bindery_readable_byte_count(descriptor.host, &count) == 0 ? UInt64(count) : 0
  }
}

extension UInt64 {
  func addingClamped(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }

  func subtractingClamped(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
