import VirtualMemory
import WebAssembly

/// The import module `bindery_memory`: a guest binds regions of files that the host has granted it, for itself.
///
/// A file is a capability: a guest knows it as a number, and only those the host has put here have one. So a guest can page
/// shards or experts of a model that is larger than what it wants mapped at a time.
///
///     bind(memory i32, region i32, region_offset i64, length i64, address i64, mode i32) -> i32
///     unbind(memory i32, address i64, length i64) -> i32
///     evict(memory i32, address i64, length i64) -> i32
///     region_length(region i32) -> i64
///
/// `memory` is an index of the calling instance; `mode` 0 is read-only, 1 copy-on-write. `unbind` and `evict` take a range of
/// whole pages and work on those that are bound. Results are 0, or a negative error: see `ErrorCode`.
public struct MemoryImports: Sendable {
  /// What a guest is told. The first nine are those of `MemoryBindError`, in the order of its checks.
  public enum ErrorCode: Int32, Sendable {
    case notVirtual = -1
    case unaligned = -2
    case emptyRegion = -3
    case outOfBounds = -4
    case alreadyMapped = -5
    case pastEndOfFile = -6
    case notRegularFile = -7
    case limitReached = -8
    case system = -9
    case notBound = -10
    case pinned = -11
    case unknownRegion = -12
    case unknownMemory = -13
    case unknownMode = -14
    /// Another thread runs a guest in this unshared memory.
    case busy = -15
  }

  /// The regions, by their number.
  public let regions: [FileRegion]

  public init(regions: [FileRegion]) { self.regions = regions }

  public static let moduleName = "bindery_memory"

  /// Defines the module's functions.
  public func define(in imports: inout Imports, store: Store) {
    func define(
      _ name: String, _ parameters: [ValueType], _ body: @escaping (Caller, Arguments) -> ErrorCode?
    ) {
      let type = FunctionType(parameters: parameters, results: [.i32])
      let function = Function(store: store, type: type, name: "\(Self.moduleName).\(name)") { caller, arguments, results in
        results.set(body(caller, arguments)?.rawValue ?? 0)
      }
      imports.define(module: Self.moduleName, name: name, .function(function))
    }
    let regions = regions
    define("bind", [.i32, .i32, .i64, .i64, .i64, .i32]) { Self.bind(regions, $0, $1) }
    define("unbind", [.i32, .i64, .i64]) { caller, arguments in
      Self.onRange(caller, arguments) { memory, address, byteCount throws(MemoryBindError) in
        try memory.unbindPages(address: address, byteCount: byteCount)
      }
    }
    define("evict", [.i32, .i64, .i64]) { caller, arguments in
      Self.onRange(caller, arguments) { memory, address, byteCount throws(MemoryBindError) in
        try memory.evictPages(address: address, byteCount: byteCount)
      }
    }
    let lengthType = FunctionType(parameters: [.i32], results: [.i64])
    let length = Function(store: store, type: lengthType, name: "\(Self.moduleName).region_length") { _, arguments, results in
      let number = Int(arguments.i32(0))
      guard number < regions.count else {
        results.set(Int64(ErrorCode.unknownRegion.rawValue))
        return
      }
      results.set(regions[number].byteCount)
    }
    imports.define(module: Self.moduleName, name: "region_length", .function(length))
  }

  private static func memory(_ caller: Caller, _ index: UInt32) -> Memory? {
    guard let index = Int(exactly: index) else { return nil }
    return caller.memory(at: index)
  }

  private static func bind(_ regions: [FileRegion], _ caller: Caller, _ arguments: Arguments) -> ErrorCode? {
    guard let memory = memory(caller, arguments.i32(0)) else { return .unknownMemory }
    let number = Int(arguments.i32(1))
    guard number < regions.count else { return .unknownRegion }
    guard arguments.i32(5) <= 1 else { return .unknownMode }
    let region = regions[number]
    let (offset, byteCount) = (arguments.i64(2), arguments.i64(3))
    let start = region.offset.addingReportingOverflow(offset)
    guard !start.overflow else { return .pastEndOfFile }
    let part = FileRegion(file: region.file, offset: start.partialValue, byteCount: byteCount)
    do throws(MemoryBindError) {
      // For the guest the file ends where its region does.
      _ = try memory.bind(
        part, at: arguments.i64(4), mode: arguments.i32(5) == 0 ? .readOnly : .copyOnWrite, isGuestOwned: true,
        fileOffsetMax: region.offset.addingReportingOverflow(region.byteCount).partialValue)
      return nil
    } catch {
      return ErrorCode(error)
    }
  }

  private static func onRange(
    _ caller: Caller, _ arguments: Arguments, _ body: (Memory, UInt64, UInt64) throws(MemoryBindError) -> Void
  ) -> ErrorCode? {
    guard let memory = memory(caller, arguments.i32(0)) else { return .unknownMemory }
    do throws(MemoryBindError) {
      try body(memory, arguments.i64(1), arguments.i64(2))
      return nil
    } catch {
      return ErrorCode(error)
    }
  }
}

extension MemoryImports.ErrorCode {
  init(_ error: MemoryBindError) {
    self =
      switch error {
      case .notVirtual: .notVirtual
      case .unaligned, .unalignedBuffer: .unaligned
      case .emptyRegion: .emptyRegion
      case .outOfBounds: .outOfBounds
      case .alreadyMapped: .alreadyMapped
      case .pastEndOfFile: .pastEndOfFile
      case .notRegularFile, .sharedFile: .notRegularFile
      case .limitReached: .limitReached
      case .system: .system
      case .notBound, .notCopyOnWrite: .notBound
      case .pinned: .pinned
      case .busy: .busy
      }
  }
}
