import Foundation
import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// The allocator of the guest kit as a guest that exports its functions, for 32-bit or 64-bit addresses.
final class GuestAllocator {
  let instance: Instance
  let memory: Memory
  let addressType: AddressType
  private let log = Log()

  private final class Log { var lines: [String] = [] }

  /// What `statistic` counts, in its order.
  enum Statistic: UInt32 { case heap, used, tables, freePages, dirtyPages, discards, discarded }

  init(_ addressType: AddressType = .i32, memoryByteCountMax: UInt64 = 1 << 30) throws {
    self.addressType = addressType
    var limits = ResourceLimits()
    limits.memoryByteCountMax = memoryByteCountMax
    let store = Store(engine: Engine(), limits: limits)
    var imports = Imports()
    let log = self.log
    let address: ValueType = addressType == .i32 ? .i32 : .i64
    let function = Function(store: store, type: FunctionType(parameters: [address, .i32], results: [])) { caller, arguments, _ in
      guard let memory = caller.instance?.memory("memory") else { return }
      let start = address == .i32 ? UInt64(arguments.i32(0)) : arguments.i64(0)
      log.lines.append(String(decoding: try memory.read(address: start, byteCount: UInt64(arguments.i32(1))), as: UTF8.self))
    }
    imports.define(module: "bindery", name: "log", .function(function))
    let name = addressType == .i32 ? "allocator" : "allocator64"
    let bytes = [UInt8](try Data(contentsOf: Repository.path("models/programs/\(name).wasm")))
    instance = try Instance(store: store, module: CompiledModule(engine: store.engine, bytes: bytes), imports: imports)
    memory = try #require(instance.memory("memory"))
  }

  var logLines: [String] { log.lines }

  /// Calls an export; sizes and addresses are of the address type.
  func call(_ name: String, _ arguments: UInt64...) throws -> UInt64 {
    let function = try #require(instance.function(name))
    let values = zip(function.type.parameters, arguments).map { type, value in
      type == .i32 ? Value.i32(UInt32(truncatingIfNeeded: value)) : .i64(value)
    }
    let result = try function(values).first
    return result?.i64 ?? result?.i32.map { UInt64($0) } ?? 0
  }

  func allocate(_ byteCount: UInt64) throws -> UInt64 { try call("malloc", byteCount) }
  func free(_ address: UInt64) throws { _ = try call("free", address) }
  func statistic(_ statistic: Statistic) throws -> UInt64 { try call("statistic", UInt64(statistic.rawValue)) }

  /// Expects that a call ends in a trap, after a line in the log that contains `text`.
  func expectRefusal(_ text: String, _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) {
    let before = logLines.count
    let error = #expect(throws: WasmError.self, sourceLocation: sourceLocation) { try body() }
    guard case .trap(let trap)? = error else {
      Issue.record("no trap: \(String(describing: error))", sourceLocation: sourceLocation)
      return
    }
    #expect(trap.kind == .unreachable, sourceLocation: sourceLocation)
    #expect(logLines.count == before + 1 && logLines.last?.contains(text) == true, "\(logLines)", sourceLocation: sourceLocation)
  }
}
