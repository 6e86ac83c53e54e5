import Foundation
import Testing
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Modules with changed bytes that are still valid are run: whatever they have become, they end with results, a trap or a typed
/// error, in bounded time and memory.
@Suite("Damaged modules at run time")
struct DamagedModuleTests {
  /// The modules of our own scripts, which use every instruction that changes page states.
  private static let modules: [[UInt8]] = {
    let folder = Repository.fixture("memory-control")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".wast") }.sorted().flatMap { name -> [[UInt8]] in
      guard let text = try? Data(contentsOf: folder.appending(path: name)),
        let script = try? WebAssemblyText.script([UInt8](text))
      else { return [] }
      return script.commands.compactMap { command in
        if case .module(let module) = command.kind, case .binary(let bytes) = module.form { bytes } else { nil }
      }
    }
  }()

  private static func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...2, using: &generator) {
      let index = Int.random(in: 8..<bytes.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
      case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 2: bytes[index] &+= 1
      default: bytes[index] = bytes[Int.random(in: 8..<bytes.count, using: &generator)]
      }
    }
    return bytes
  }

  /// An argument that is small, a page boundary, or anything.
  private static func argument(_ type: ValueType, _ generator: inout SeededGenerator) -> Value {
    let number: UInt64 =
      switch Int.random(in: 0..<3, using: &generator) {
      case 0: UInt64.random(in: 0..<16, using: &generator)
      case 1: UInt64.random(in: 0..<8, using: &generator) << 16
      default: generator.next()
      }
    return switch type {
    case .i32: .i32(UInt32(truncatingIfNeeded: number))
    case .i64: .i64(number)
    case .f32: .f32(UInt32(truncatingIfNeeded: number))
    case .f64: .f64(number)
    case .v128: .v128(V128Bits(low: number, high: ~number))
    case .funcref: .funcref(nil)
    case .externref: .externref(number)
    case .memref: .memref(nil)
    }
  }

  /// What every import of a module asks for, made to measure.
  private static func imports(of module: Module, _ store: Store) throws -> Imports {
    var imports = Imports()
    for entry in module.imports {
      let value: ExternalValue
      switch entry.kind {
      case .function(let type):
        let type = module.types[Int(type)]
        value = .function(Function(store: store, type: type, name: "import") { _, _, _ in })
      case .memory(let type): value = .memory(try Memory(type: type))
      case .table(let type): value = .table(try Table(store: store, type: type))
      case .global(let type):
        var generator = SeededGenerator(seed: 0)
        value = .global(try Global(store: store, type: type, value: argument(type.valueType, &generator)))
      }
      imports.define(module: entry.module.string, name: entry.name.string, value)
    }
    return imports
  }

  @Test("they end", arguments: [31, 32, 33] as [UInt64])
  func run(seed: UInt64) throws {
    try #require(Self.modules.count > 20)
    let engine = Engine()
    var generator = SeededGenerator(seed: seed)
    var limits = ResourceLimits()
    limits.memoryByteCountMax = 64 << 20
    limits.tableElementCountMax = 10_000
    var (validCount, callCount) = (0, 0)
    for _ in 0..<5000 {
      let bytes = Self.mutate(Self.modules.randomElement(using: &generator)!, &generator)
      guard let module = try? Module.parse(bytes), (try? Validator.validate(module)) != nil else { continue }
      validCount += 1
      let store = Store(engine: engine, limits: limits)
      store.setTimeLimit(.milliseconds(200))
      do {
        let compiled = try CompiledModule(engine: engine, bytes: bytes)
        let instance = try Instance(store: store, module: compiled, imports: try Self.imports(of: module, store))
        for export in instance.exports {
          guard case .function(let function) = export.value else { continue }
          callCount += 1
          store.setTimeLimit(.milliseconds(20))
          _ = try? function(function.type.parameters.map { Self.argument($0, &generator) })
        }
      } catch is WasmError {
      } catch is MemoryAllocationError {
      }
    }
    #expect(validCount > 300 && callCount > 1000, "seed \(seed): \(validCount) valid modules, \(callCount) calls")
  }
}
