import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText

/// One guest with a file in its 64-bit memory `weights`, however the file got there, and a pass over all of it.
///
/// The guest is the same for every way of loading, but for the type of its memory: bound weights need a virtual one.
final class WeightGuest {
  /// How the file gets into the guest's memory.
  enum Loading: String, CaseIterable, Codable, Sendable {
    /// Bound: pages of the file, mapped read-only.
    case map
    /// One read() of the whole file into the guest's memory.
    case read
    /// The same into large pages: the memory was advised to have them, so that a fault brings 2 MiB and not 4 KiB. The fastest that
    /// reading gets.
    case readHuge = "read-huge"
    /// One read() into a buffer of the host, then a copy into the guest's memory: what `load` of wasi-nn and `WebAssembly.Memory`
    /// in a browser make of it.
    case copy
    /// The guest itself reads 64 KiB a call through a function of the host that reads into the guest's memory, as `fd_read` does.
    case chunked

    /// Bytes of anonymous memory that a load needs at its worst, as multiples of the file.
    var peakCount: UInt64 { self == .map ? 0 : self == .copy ? 2 : 1 }
  }

  /// The compiled guest of one way of loading, shared by its instances.
  struct Program {
    let loading: Loading
    let engine: Engine
    let module: CompiledModule

    init(_ loading: Loading) throws {
      self.loading = loading
      engine = Engine()
      module = try CompiledModule(engine: engine, bytes: try WebAssemblyText.binary(of: Array(WeightGuest.text(loading).utf8)))
    }
  }

  let memory: Memory
  private let instance: Instance
  /// Of the file.
  let byteCount: UInt64
  /// Bytes that were copied until the guest could use the file, counted where they are: by the system into memory, and from one
  /// memory into another.
  var copiedByteCount: UInt64 { memory.copiedByteCount + counter.byteCount }
  private let counter = Counter()

  private final class Counter {
    var byteCount: UInt64 = 0
  }

  /// Loads the file; when this returns the guest can use it.
  init(_ program: Program, path: String) throws {
    let file = try RegularFile(path: path)
    byteCount = file.byteCount
    let pageCount = (byteCount + 0xFFFF) >> 16
    memory = try Memory(
      type: MemoryType(
        addressType: .i64, limits: Limits(minimum: pageCount, maximum: pageCount),
        attributes: MemoryAttributes(isVirtual: program.loading == .map)))
    let store = Store(engine: program.engine)
    var imports = Imports()
    imports.define(module: "bench", name: "weights", .memory(memory))
    let (memory, counter) = (memory, counter)
    let type = FunctionType(parameters: [.i64, .i32], results: [.i32])
    imports.define(
      module: "bench", name: "read",
      .function(
        Function(store: store, type: type, name: "bench.read") { _, arguments, results in
          let address = arguments.i64(0)
          let byteCount = min(UInt64(arguments.i32(1)), file.byteCount - min(address, file.byteCount))
          try memory.readFile(FileRegion(file: file, offset: address, byteCount: byteCount), at: address)
          counter.byteCount += byteCount
          results.set(UInt32(byteCount))
        }))
    instance = try Instance(store: store, module: program.module, imports: imports)
    switch program.loading {
    case .map: try memory.bind(file, at: 0, mode: .readOnly)
    case .read, .readHuge:
      if program.loading == .readHuge { try memory.advise(.hugePages, address: 0, byteCount: memory.byteCount) }
      try memory.readFile(FileRegion(file), at: 0)
      counter.byteCount += byteCount
    case .copy:
      let buffer = try file.read(at: 0, byteCount: Int(byteCount))
      counter.byteCount += UInt64(buffer.count)
      try memory.write(buffer, address: 0)
      counter.byteCount += UInt64(buffer.count)
    case .chunked: try call("load")
    }
  }

  /// Adds up every 32-bit lane of the file, 16 bytes at a time, in the guest.
  /// - Returns: the sum, so that ways of loading can be held against each other.
  @discardableResult
  func pass() throws -> UInt64 { try call("sum") }

  @discardableResult
  private func call(_ name: String) throws -> UInt64 {
    guard let function = instance.function(name) else { preconditionFailure("the guest below exports '\(name)'") }
    guard case .i64(let result) = try function(.i64(byteCount)).first else { return 0 }
    return result
  }

  /// `sum` goes over whole multiples of 64 bytes: files of weights for this benchmark are multiples of 64 KiB.
  private static func text(_ loading: Loading) -> String {
    """
    (module
      (import "bench" "weights" (memory i64 \(loading == .map ? "virtual" : "") 0 16777216))
      (import "bench" "read" (func $read (param i64 i32) (result i32)))
      (func (export "load") (param $end i64) (result i64) (local $at i64)
        loop $next
          (i64.lt_u (local.get $at) (local.get $end))
          if
            (local.set $at (i64.add (local.get $at) (i64.extend_i32_u (call $read (local.get $at) (i32.const 65536)))))
            br $next
          end
        end
        local.get $at)
      (func (export "sum") (param $end i64) (result i64)
        (local $at i64) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
        loop $next
          (local.set $a (i32x4.add (local.get $a) (v128.load (local.get $at))))
          (local.set $b (i32x4.add (local.get $b) (v128.load offset=16 (local.get $at))))
          (local.set $c (i32x4.add (local.get $c) (v128.load offset=32 (local.get $at))))
          (local.set $d (i32x4.add (local.get $d) (v128.load offset=48 (local.get $at))))
          (br_if $next (i64.lt_u (local.tee $at (i64.add (local.get $at) (i64.const 64))) (local.get $end)))
        end
        (local.set $a (i32x4.add (i32x4.add (local.get $a) (local.get $b)) (i32x4.add (local.get $c) (local.get $d))))
        (i64.add (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a)))))
    """
  }
}
