import Testing
import WasmRuntime
import WebAssembly

/// Effective addresses are added once, without wrap-around, and compared without adding.
@Suite("Addresses of accesses")
struct AddressTests {
  /// One page, 64-bit addresses; every shape in which the translator gives an address to a load or store.
  private static let guest64 = """
    (module (memory i64 1)
      (func (export "load") (param i64) (result i32) (i32.load (local.get 0)))
      (func (export "load_far") (param i64) (result i32) (i32.load offset=0xffffffffffffffff (local.get 0)))
      (func (export "load_high") (param i64) (result i32) (i32.load offset=0x8000000000000000 (local.get 0)))
      (func (export "load_16") (param i64) (result i32) (i32.load offset=16 (local.get 0)))
      (func (export "load_sum") (param i64 i64) (result i32) (i32.load (i64.add (local.get 0) (local.get 1))))
      (func (export "load_sum_16") (param i64 i64) (result i32) (i32.load offset=16 (i64.add (local.get 0) (local.get 1))))
      (func (export "load_plus") (param i64) (result i32) (i32.load (i64.add (local.get 0) (i64.const 8))))
      (func (export "load_minus") (param i64) (result i32) (i32.load (i64.add (local.get 0) (i64.const -8))))
      (func (export "load_computed") (param i64) (result i32) (i32.load offset=4 (i64.shl (local.get 0) (i64.const 2))))
      (func (export "v128") (param i64) (result i32) (i32x4.extract_lane 0 (v128.load (local.get 0))))
      (func (export "v128_sum") (param i64 i64) (result i32)
        (i32x4.extract_lane 0 (i32x4.add (v128.load (i64.add (local.get 0) (local.get 1))) (v128.const i32x4 0 0 0 0))))
      (func (export "store") (param i64 i32) (i32.store (local.get 0) (local.get 1)))
      (func (export "store_sum") (param i64 i64) (i32.store8 (i64.add (local.get 0) (local.get 1)) (i32.const 1)))
      (func (export "store_high") (param i64) (i32.store8 offset=0x8000000000000000 (local.get 0) (i32.const 1)))
      (func (export "fill") (param i64 i64) (memory.fill (local.get 0) (i32.const 7) (local.get 1)))
      (func (export "copy") (param i64 i64 i64) (memory.copy (local.get 0) (local.get 1) (local.get 2))))
    """

  private static let top = UInt64.max
  private static let carries: [(String, UInt64)] = [
    ("load_far", 1), ("load_far", 2), ("load_far", top), ("load_high", 0x8000_0000_0000_0000), ("load_high", top),
    ("load_16", top), ("load_16", top - 15), ("load", top), ("load", top - 3), ("load", top - 4), ("v128", top), ("v128", top - 15),
  ]

  @Test("an address and an offset whose sum passes 2^64 are out of bounds", arguments: carries)
  func sumsThatCarryTrap(export: String, address: UInt64) throws {
    let instance = try GuestModule.instantiate(Self.guest64)
    #expect(try instance.trap(export, .i64(address))?.kind == .memory(.outOfBounds))
  }

  @Test("the last byte of a memory can be read, the one behind it cannot", arguments: [false, true])
  func boundary(portable: Bool) throws {
    var configuration = EngineConfiguration()
    configuration.usesPortableHandlers = portable
    let instance = try GuestModule.instantiate(Self.guest64, engine: Engine(configuration: configuration))
    #expect(try instance.i32("load", .i64(UInt64(65532))) == 0)
    #expect(try instance.trap("load", .i64(UInt64(65533)))?.kind == .memory(.outOfBounds))
    #expect(try instance.i32("load_16", .i64(UInt64(65516))) == 0)
    #expect(try instance.trap("load_16", .i64(UInt64(65517)))?.kind == .memory(.outOfBounds))
    #expect(try instance.i32("v128", .i64(UInt64(65520))) == 0)
    #expect(try instance.trap("v128", .i64(UInt64(65521)))?.kind == .memory(.outOfBounds))
    #expect(try instance.i32("load_plus", .i64(UInt64(65524))) == 0)
    #expect(try instance.trap("load_plus", .i64(UInt64(65525)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("store_sum", .i64(UInt64(65535)), .i64(UInt64(0))) == nil)
    #expect(try instance.trap("store_sum", .i64(UInt64(65535)), .i64(UInt64(1)))?.kind == .memory(.outOfBounds))
  }

  @Test("sums computed by the guest wrap, offsets of instructions do not")
  func guestSumsWrap() throws {
    let instance = try GuestModule.instantiate(Self.guest64)
    try instance.call("store", .i64(UInt64(8)), .i32(UInt32(0xABCD)))
    #expect(try instance.i32("load_sum", .i64(UInt64.max), .i64(UInt64(9))) == 0xABCD)
    #expect(try instance.i32("load_plus", .i64(UInt64(0))) == 0xABCD)
    #expect(try instance.i32("load_minus", .i64(UInt64(16))) == 0xABCD)
    #expect(try instance.i32("load_computed", .i64(UInt64(1))) == 0xABCD)
    #expect(try instance.i32("v128_sum", .i64(UInt64.max - 7), .i64(UInt64(16))) == 0xABCD)
    #expect(try instance.trap("load_minus", .i64(UInt64(7)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("load_sum_16", .i64(UInt64.max), .i64(UInt64(0)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("store_high", .i64(UInt64(1) << 63))?.kind == .memory(.outOfBounds))
  }

  @Test("32-bit sums wrap at 32 bits, and an offset on top of them does not")
  func sumsOf32Bits() throws {
    let instance = try GuestModule.instantiate(
      """
      (module (memory 1)
        (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
        (func (export "sum") (param i32 i32) (result i32) (i32.load (i32.add (local.get 0) (local.get 1))))
        (func (export "plus") (param i32) (result i32) (i32.load (i32.add (local.get 0) (i32.const 16))))
        (func (export "plus_8") (param i32) (result i32) (i32.load offset=8 (i32.add (local.get 0) (i32.const 8))))
        (func (export "sum_8") (param i32 i32) (result i32) (i32.load offset=8 (i32.add (local.get 0) (local.get 1))))
        (func (export "far") (param i32) (result i32) (i32.load offset=0xffffffff (local.get 0))))
      """)
    try instance.call("store", .i32(UInt32(16)), .i32(UInt32(99)))
    #expect(try instance.i32("sum", .i32(UInt32.max), .i32(UInt32(17))) == 99)
    #expect(try instance.i32("plus", .i32(UInt32(0))) == 99)
    #expect(try instance.i32("plus_8", .i32(UInt32(0))) == 99)
    #expect(try instance.i32("sum_8", .i32(UInt32.max), .i32(UInt32(9))) == 99)
    #expect(try instance.i32("plus", .i32(UInt32.max - 15)) == 0)
    #expect(try instance.trap("sum_8", .i32(UInt32.max), .i32(UInt32(0)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("plus_8", .i32(UInt32.max - 8))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("far", .i32(UInt32(17)))?.kind == .memory(.outOfBounds))
  }

  @Test("bulk operations check both ends before they write a byte")
  func bulkOperations() throws {
    let instance = try GuestModule.instantiate(Self.guest64)
    #expect(try instance.trap("fill", .i64(UInt64.max), .i64(UInt64(2)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("fill", .i64(UInt64(65530)), .i64(UInt64(7)))?.kind == .memory(.outOfBounds))
    #expect(try instance.i32("load", .i64(UInt64(65532))) == 0)
    #expect(try instance.trap("fill", .i64(UInt64(65536)), .i64(UInt64(0))) == nil)
    #expect(try instance.trap("fill", .i64(UInt64(65537)), .i64(UInt64(0)))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("copy", .i64(UInt64(0)), .i64(UInt64.max), .i64(UInt64.max))?.kind == .memory(.outOfBounds))
    #expect(try instance.trap("copy", .i64(UInt64(65535)), .i64(UInt64(0)), .i64(UInt64(1))) == nil)
  }

  @Test("an instruction that traps stores nothing")
  func trappingStoreWritesNothing() throws {
    let instance = try GuestModule.instantiate(Self.guest64)
    #expect(try instance.trap("store", .i64(UInt64(65533)), .i32(UInt32.max))?.kind == .memory(.outOfBounds))
    #expect(try instance.i32("load", .i64(UInt64(65532))) == 0)
  }
}
