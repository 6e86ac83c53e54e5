import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// What compiling a module may cost: counted, not timed.
@Suite("Costs of translation")
struct TranslationCostTests {
  private typealias W = ModuleWriter

  /// What one compilation asked its budget for and how many steps it took beside reading instructions.
  private func cost(_ bytes: [UInt8]) throws -> (byteCount: UInt64, peak: UInt64, steps: Int) {
    let budget = ResourceBudget(byteCountMax: 1 << 30)
    let module = try CompiledModule(engine: Engine(), bytes: bytes, budget: budget)
    return (module.byteCount, budget.peakByteCount, module.translationStepCount)
  }

  @Test("work and memory grow with the module, not with its square", arguments: AdversarialModules.families.map { $0.name })
  func linear(name: String) throws {
    let family = try #require(AdversarialModules.families.first { $0.name == name })
    let (small, large) = (family.make(10_000), family.make(40_000))
    let (first, second) = (try cost(small), try cost(large))
    // At most a few steps for each byte, whatever the size.
    for (bytes, cost) in [(small, first), (large, second)] {
      #expect(cost.steps <= 8 * bytes.count, "\(cost.steps) steps for \(bytes.count) bytes")
      #expect(cost.peak <= 160 * UInt64(bytes.count) + 8 << 20, "\(cost.peak) bytes for \(bytes.count)")
      #expect(cost.byteCount <= cost.peak)
    }
    #expect(Double(second.peak) <= 4.8 * Double(first.peak) + 4e6)
  }

  @Test("what a module holds is credited when it is gone, and after a failure")
  func credits() throws {
    let budget = ResourceBudget(byteCountMax: 64 << 20)
    let bytes = AdversarialModules.families[0].make(1000)
    var module: CompiledModule? = try CompiledModule(engine: Engine(), bytes: bytes, budget: budget)
    let held = budget.usedByteCount(on: .code)
    #expect(held == module?.byteCount && held > UInt64(bytes.count))
    module = nil
    #expect(budget.usedByteCount == 0)
    // Cut off, invalid, stopped: nothing stays.
    #expect(throws: WasmError.self) { try CompiledModule(engine: Engine(), bytes: Array(bytes.dropLast(5)), budget: budget) }
    var invalid = W(types: [([], [W.i32])])
    invalid.functions = [(0, [], [])]
    #expect(throws: WasmError.self) { try CompiledModule(engine: Engine(), bytes: invalid.bytes, budget: budget) }
    #expect(throws: WasmError.self) { try CompiledModule(engine: Engine(), bytes: bytes, budget: budget, stop: { .cancelled }) }
    #expect(budget.usedByteCount == 0)
  }

  @Test("a budget that is too small refuses, whatever it is too small for")
  func smallBudgets() throws {
    for family in AdversarialModules.families {
      let bytes = family.make(2000)
      let needed = ResourceBudget(byteCountMax: 1 << 30)
      _ = try CompiledModule(engine: Engine(), bytes: bytes, budget: needed)
      for part in 0..<8 {
        let budget = ResourceBudget(byteCountMax: needed.peakByteCount * UInt64(part) / 8)
        do {
          _ = try CompiledModule(engine: Engine(), bytes: bytes, budget: budget)
          Issue.record("\(family.name): compiled with \(budget.byteCountMax) of \(needed.peakByteCount) bytes")
        } catch {
          guard case WasmError.limit(let sentence) = error else { throw error }
          #expect(sentence.contains("memory"))
        }
        #expect(budget.usedByteCount == 0, "\(family.name)")
      }
    }
  }

  @Test("moves that branches repeat are bounded by the module's size")
  func expansion() throws {
    // Each branch moves 1000 values past one more that lies below them.
    func module(_ branches: Int) -> [UInt8] {
      var writer = W(types: [([W.i32], [W.i32]), ([], [UInt8](repeating: W.i32, count: 1000))])
      let values = W.repeated([0x20, 0], 1001)
      writer.functions = [
        (0, [], Array([[0x02, 1], values, W.repeated([0x20, 0, 0x0D, 0], branches), [0x0F, 0x0B], W.repeated([0x1A], 999)].joined()))
      ]
      return writer.bytes
    }
    _ = try CompiledModule(engine: Engine(), bytes: module(10))
    do {
      let budget = ResourceBudget(byteCountMax: 1 << 30)
      _ = try CompiledModule(engine: Engine(), bytes: module(30_000), budget: budget)
      Issue.record("compiled")
    } catch {
      guard case WasmError.limit(let sentence) = error else { throw error }
      #expect(sentence.hasPrefix("function 0 expands too much"))
    }
  }

  @Test("a deadline ends reading, checking and translating", arguments: [1, 5, 10, 15, 20, 25])
  func stops(question: Int) throws {
    let bytes = AdversarialModules.families[0].make(150_000)
    var asked = 0
    do {
      _ = try CompiledModule(engine: Engine(), bytes: bytes) {
        asked += 1
        return asked >= question ? .deadlineExceeded : nil
      }
      Issue.record("was not stopped")
    } catch WasmError.trap(let trap) {
      #expect(trap.kind == .deadlineExceeded)
    }
    #expect(asked <= question + 1)
  }

  @Test("each 64 KiB of a module are asked for three times: read, checked, translated")
  func asksOften() throws {
    let bytes = AdversarialModules.families[0].make(150_000)
    var asked = 0
    _ = try CompiledModule(engine: Engine(), bytes: bytes) {
      asked += 1
      return nil
    }
    #expect(asked >= 3 * (bytes.count >> 16))
  }

  @Test("an engine forgets the function types of modules that are gone")
  func forgetsTypes() throws {
    let engine = Engine()
    let kept = try CompiledModule(engine: engine, bytes: W(types: [([W.i32], [])]).bytes)
    for count in 1...50 {
      // A type that every module has, and one of its own.
      let writer = W(types: [([W.i32], []), ([UInt8](repeating: W.i32, count: count), [W.i32])])
      let module = try CompiledModule(engine: engine, bytes: writer.bytes)
      #expect(engine.functionTypeCount == 2)
      withExtendedLifetime(module) {}
    }
    #expect(engine.functionTypeCount == 1)
    withExtendedLifetime(kept) {}
  }

  @Test("calls through a table tell the types of modules apart, whose numbers were others' before")
  func reusesNumbers() throws {
    let engine = Engine()
    for round in 0..<3 {
      let parameters = String(repeating: " i64", count: round)
      let text = """
        (module (type $own (func (param\(parameters)) (result i32))) (type $other (func (param f32\(parameters)) (result i32)))
          (table funcref (elem $f)) (func $f (type $own) (i32.const 7))
          (func (export "right") (result i32) \(String(repeating: "(i64.const 0)", count: round)) (call_indirect (type $own) (i32.const 0)))
          (func (export "wrong") (result i32) (f32.const 0) \(String(repeating: "(i64.const 0)", count: round))
            (call_indirect (type $other) (i32.const 0))))
        """
      let instance = try GuestModule.instantiate(text, engine: engine)
      #expect(try instance.i32("right") == 7)
      #expect(try instance.trap("wrong")?.kind == .indirectCallTypeMismatch)
    }
  }
}
