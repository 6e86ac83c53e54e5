import WasmRuntime
import WebAssembly

/// Instantiates a module with imports made to measure, calls its exports with small budgets, and writes down what can be seen
/// of it from outside: results, kinds of traps, globals, tables, memories.
struct GuestRun {
  enum Outcome: Equatable {
    case values([String])
    case trap(TrapKind)
    /// Ended by a limit, whose place in the code engines need not agree on: nothing after it is compared.
    case limit
    case refused
  }

  private(set) var outcomes: [(String, Outcome)] = []

  static let fuelPerCall: Int64 = 20_000
  static let exportCountMax = 8
  private static let memoryByteCountMax: UInt64 = 1 << 19

  private static var limits: ResourceLimits {
    var limits = ResourceLimits()
    limits.memoryByteCountMax = memoryByteCountMax
    limits.tableElementCountMax = 4096
    limits.memoryLimits.mappedByteCountMax = memoryByteCountMax
    limits.memoryLimits.reservationByteCountMax = 1 << 33
    return limits
  }

  /// - Parameter arguments: the n-th number given to a guest.
  init(_ compiled: CompiledModule, arguments: (Int) -> UInt64) {
    let store = Store(engine: compiled.engine, limits: Self.limits, budget: ResourceBudget(byteCountMax: 64 << 20))
    store.fuel = Self.fuelPerCall
    store.setTimeLimit(.milliseconds(200))
    let instance: Instance
    do throws(WasmError) {
      guard let imports = Self.imports(of: compiled.module, store, arguments) else {
        outcomes.append(("imports", .refused))
        return
      }
      instance = try Instance(store: store, module: compiled, imports: imports)
    } catch {
      outcomes.append(("instantiation", Self.outcome(of: error)))
      return
    }
    outcomes.append(("instantiation", .values([])))
    var argumentCount = 0
    for export in instance.exports.prefix(64) {
      guard case .function(let function) = export.value, outcomes.count <= Self.exportCountMax else { continue }
      let values = function.type.parameters.map { type in
        argumentCount += 1
        return Self.value(type, arguments(argumentCount))
      }
      store.fuel = Self.fuelPerCall
      store.setTimeLimit(.milliseconds(200))
      do throws(WasmError) {
        outcomes.append((export.name, .values(try function(values).map(Self.text))))
      } catch {
        outcomes.append((export.name, Self.outcome(of: error)))
        if outcomes.last?.1 == .limit { return }
      }
    }
    observe(instance)
  }

  private mutating func observe(_ instance: Instance) {
    for export in instance.exports.prefix(64) {
      switch export.value {
      case .function: break
      case .global(let global): outcomes.append((export.name, .values([Self.text(global.value)])))
      case .table(let table):
        outcomes.append((export.name, .values((0..<min(16, table.count)).map { Self.text(table[$0] ?? .externref(nil)) })))
      case .memory(let memory):
        let count = min(memory.byteCount, Self.memoryByteCountMax)
        guard let bytes = try? memory.read(address: 0, byteCount: count) else { continue }
        outcomes.append((export.name, .values(["\(memory.byteCount)", "\(Checksum.of(bytes))"])))
      }
    }
  }

  private static func outcome(of error: WasmError) -> Outcome {
    guard case .trap(let trap) = error else { return .refused }
    return switch trap.kind {
    case .fuelExhausted, .deadlineExceeded, .cancelled, .callStackExhausted, .memory(.allocationFailure): .limit
    default: .trap(trap.kind)
    }
  }

  /// References are only told from null: where functions lie is not for guests to see.
  private static func text(_ value: Value) -> String {
    switch value {
    case .i32(let bits): "i32 \(bits)"
    case .i64(let bits): "i64 \(bits)"
    case .f32(let bits): Float(bitPattern: bits).isNaN ? "f32 nan" : "f32 \(bits)"
    case .f64(let bits): Double(bitPattern: bits).isNaN ? "f64 nan" : "f64 \(bits)"
    case .v128(let bits): "v128 \(bits.low) \(bits.high)"
    case .funcref(let function): function == nil ? "null" : "function"
    case .externref(let number): "extern \(number.map { "\($0)" } ?? "null")"
    case .memref(let reference): reference == nil ? "null" : "memory"
    }
  }

  private static func value(_ type: ValueType, _ number: UInt64) -> Value {
    switch type {
    case .i32: .i32(UInt32(truncatingIfNeeded: number))
    case .i64: .i64(number)
    case .f32: .f32(UInt32(truncatingIfNeeded: number))
    case .f64: .f64(number)
    case .v128: .v128(V128Bits(low: number, high: ~number))
    case .funcref: .funcref(nil)
    case .externref: .externref(number >> 1)
    case .memref: .memref(nil)
    }
  }

  private static func imports(of module: Module, _ store: Store, _ arguments: (Int) -> UInt64) -> Imports? {
    var imports = Imports()
    for entry in module.imports.prefix(64) {
      let value: ExternalValue
      switch entry.kind {
      case .function(let index):
        let type = module.types[Int(index)]
        value = .function(Function(store: store, type: type, name: "import") { _, _, results in
          for (place, type) in type.results.enumerated() { results.set(Self.value(type, UInt64(place)), at: place) }
        })
      case .memory(let type):
        guard let memory = try? Memory(type: type, limits: limits.memoryLimits) else { return nil }
        value = .memory(memory)
      case .table(let type):
        guard let table = try? Table(store: store, type: type) else { return nil }
        value = .table(table)
      case .global(let type):
        guard let global = try? Global(store: store, type: type, value: Self.value(type.valueType, arguments(0))) else { return nil }
        value = .global(global)
      }
      imports.define(module: entry.module.string, name: entry.name.string, value)
    }
    return imports
  }
}
