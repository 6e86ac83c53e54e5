/// Why a memory refused an access or a memory-control operation. The descriptions are the trap texts of the specification
/// suite and of the memory-control note; the raw values of the first four are those of `bindery_memory_fault` in C.
public enum MemoryFault: Int32, Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  case outOfBounds = 1
  case unmapped = 2
  case protected = 3
  /// A bound file was truncated, or its device failed: zeroes stand where its bytes were.
  case lost = 4
  case unaligned = 5
  case zeroLength = 6
  case alreadyMapped = 7
  case hostMapped = 8
  case hostMappingReadOnly = 9
  case allocationFailure = 10
  /// Validation excludes this for guests; the host can ask for it.
  case notVirtual = 11
  /// The host reads or writes this range in place at the moment.
  case pinned = 12
  /// A guest runs in this unshared memory, on another thread, and the host wants to change it.
  case busy = 13

  public var description: String {
    switch self {
    case .outOfBounds: "out of bounds memory access"
    case .unmapped: "unmapped memory access"
    case .protected: "protected memory access"
    case .lost: "host mapping was lost"
    case .unaligned: "unaligned memory access"
    case .zeroLength: "zero-length memory range"
    case .alreadyMapped: "memory range already mapped"
    case .hostMapped: "memory range is host-mapped"
    case .hostMappingReadOnly: "host mapping is read-only"
    case .allocationFailure: "memory allocation failure"
    case .notVirtual: "memory is not virtual"
    case .pinned: "memory range is pinned by the host"
    case .busy: "memory is in use by a guest"
    }
  }
}

/// A refused access or operation with the range that was asked for. Nothing has changed.
public struct MemoryAccessError: Error, Hashable, Sendable, CustomStringConvertible {
  public let fault: MemoryFault
  /// The first guest address of the range.
  public let address: UInt64
  public let byteCount: UInt64

  public init(_ fault: MemoryFault, address: UInt64, byteCount: UInt64) {
    self.fault = fault
    self.address = address
    self.byteCount = byteCount
  }

  public var description: String {
    "\(fault): \(byteCount) byte\(byteCount == 1 ? "" : "s") at address 0x\(String(address, radix: 16))"
  }
}
