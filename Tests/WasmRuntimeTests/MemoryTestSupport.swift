import CInterpreter
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly

/// One wasm page.
let P: UInt64 = 65536

/// Memories as the tests name them; sizes in pages.
enum Memories {
  static func plain(
    _ minimum: UInt64, _ maximum: UInt64? = nil, _ addressType: AddressType = .i32, limits: MemoryLimits = .init()
  ) throws -> Memory {
    try Memory(
      type: MemoryType(addressType: addressType, limits: Limits(minimum: minimum, maximum: maximum)), limits: limits)
  }

  static func virtual(_ minimum: UInt64, _ maximum: UInt64, limits: MemoryLimits = .init()) throws -> Memory {
    try Memory(
      type: MemoryType(
        addressType: .i64, limits: Limits(minimum: minimum, maximum: maximum), attributes: MemoryAttributes(isVirtual: true)),
      limits: limits)
  }

  static func mappable(_ minimum: UInt64, _ maximum: UInt64, _ mappable: UInt64) throws -> Memory {
    try Memory(
      type: MemoryType(
        limits: Limits(minimum: minimum, maximum: maximum), attributes: MemoryAttributes(mappablePageCount: mappable)))
  }
}

/// An instance's view of a memory, used as the interpreter uses it.
@safe
final class TestView {
  let memory: Memory
  let view: UnsafeMutablePointer<bindery_memory_view>
  private(set) var slowPathCount = 0

  init(_ memory: Memory) {
    self.memory = memory
    unsafe view = .allocate(capacity: 1)
    unsafe memory.register(view)
  }

  deinit {
    unsafe memory.unregister(view)
    unsafe view.deallocate()
  }

  /// The size that the view tells.
  var byteCount: UInt64 { unsafe view.pointee.byte_count }

  /// The fault of an access of 1, 2, 4, 8 or 16 bytes: nil if it may be made.
  func access(_ address: UInt64, sizeLog2: UInt32, isWrite: Bool) -> MemoryFault? {
    let isInWindow = unsafe isWrite
      ? bindery_memory_can_write(view, address, sizeLog2) : bindery_memory_can_read(view, address, sizeLog2)
    if isInWindow { return nil }
    slowPathCount += 1
    return unsafe MemoryFault(rawValue: view.pointee.slow_path(view, address, 1 << UInt64(sizeLog2), isWrite ? 1 : 0))
  }

  /// The fault of an access of any length.
  func range(_ address: UInt64, _ byteCount: UInt64, isWrite: Bool) -> MemoryFault? {
    unsafe MemoryFault(rawValue: bindery_memory_check_range(view, address, byteCount, isWrite ? 1 : 0))
  }

  func load(_ address: UInt64) -> Result<UInt8, MemoryFault> {
    if let fault = access(address, sizeLog2: 0, isWrite: false) { return .failure(fault) }
    return unsafe .success(view.pointee.base[Int(address)])
  }

  func store(_ address: UInt64, _ value: UInt8) -> MemoryFault? {
    if let fault = access(address, sizeLog2: 0, isWrite: true) { return fault }
    unsafe view.pointee.base[Int(address)] = value
    return nil
  }
}

/// Expects a fault of a memory operation.
func expect(
  _ fault: MemoryFault, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: MemoryAccessError.self, sourceLocation: sourceLocation) { try body() }
  #expect(error?.fault == fault, sourceLocation: sourceLocation)
}
