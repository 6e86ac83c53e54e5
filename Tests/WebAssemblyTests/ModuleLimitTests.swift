import Testing
import WebAssembly
import _TestSupport

private typealias B = ModuleBytes
private typealias W = ModuleWriter

/// Limits on the numbers of a module: at the limit it is valid, one beyond it is refused, by name.
@Suite struct ModuleLimitTests {
  private static func list(_ count: Int, _ item: [UInt8]) -> [UInt8] { join(W.leb(count), W.repeated(item, count)) }

  private static func join(_ parts: [UInt8]...) -> [UInt8] { Array(parts.joined()) }

  /// A module with one section that is a list.
  private static func section(_ id: UInt8, _ count: Int, _ item: [UInt8], before: [UInt8] = []) -> [UInt8] {
    join(W.header, before, W.section(id, list(count, item)))
  }

  private static func functionType(parameters: Int, results: Int) -> [UInt8] {
    join(W.header, W.section(1, join([1, 0x60], list(parameters, [W.i32]), list(results, [W.i32]))))
  }

  private static func locals(_ groups: [Int]) -> [UInt8] {
    var writer = W(types: [([], [])])
    writer.functions = [(0, groups.map { (count: $0, type: W.i32) }, [])]
    return writer.bytes
  }

  static let limits: [(what: String, most: Int, make: @Sendable (Int) -> [UInt8])] = [
    ("too many parameters", 1000, { functionType(parameters: $0, results: 0) }),
    ("too many results", 1000, { functionType(parameters: 0, results: $0) }),
    ("too many tables", 100, { section(4, $0, [0x70, 0x00, 0x01]) }),
    ("too many tables", 100, { section(2, $0, [0, 0, 1, 0x70, 0x00, 0x01]) }),
    ("too many tables", 100, { section(4, $0 - 1, [0x70, 0x00, 0x01], before: W.section(2, [1, 0, 0, 1, 0x70, 0x00, 0x01])) }),
    ("too many memories", 100, { section(5, $0, [0x00, 0x01]) }),
    ("too many memories", 100, { section(2, $0, [0, 0, 2, 0x00, 0x01]) }),
    ("too many element segments", 100_000, { section(9, $0, [0x01, 0x00, 0x00]) }),
    ("too many data segments", 100_000, { section(11, $0, [0x01, 0x00]) }),
    ("too many types", 1_000_000, { section(1, $0, [0x60, 0, 0]) }),
    ("too many imports", 1_000_000, { section(2, $0, [0, 0, 3, 0x7F, 0]) }),
    ("too many globals", 1_000_000, { section(6, $0, [0x7F, 0x00, 0x41, 0x00, 0x0B]) }),
    ("name too long", 100_000, { join(W.header, W.section(2, join([1], W.leb($0), W.repeated([0x61], $0), [0, 3, 0x7F, 0]))) }),
    ("name too long", 100_000, { join(W.header, W.section(0, join(W.leb($0), W.repeated([0x61], $0)))) }),
  ]

  @Test(arguments: ModuleLimitTests.limits.indices)
  func `a number may be as large as its limit, and no larger`(index: Int) throws {
    let limit = Self.limits[index]
    #expect(B.failure(limit.make(limit.most)) == nil)
    let failure = try #require(B.failure(limit.make(limit.most + 1)))
    #expect(failure.message.hasPrefix(limit.what), "\(failure)")
    do { _ = try Module.parse(limit.make(limit.most + 1)) } catch { #expect(error.reason == .overLimit, "\(error)") }
  }

  @Test func `a million functions and exports are read, and one more is refused`() throws {
    func module(_ count: Int) -> [UInt8] {
      Self.join(
        W.header, W.section(1, [1, 0x60, 0, 0]), W.section(3, Self.list(count, [0])), W.section(10, Self.list(count, [2, 0, 0x0B])))
    }
    #expect(B.failure(module(1_000_000)) == nil)
    #expect(B.failure(module(1_000_001))?.message.hasPrefix("too many functions") == true)
    var exports = W.leb(1_000_001)
    for index in 0...1_000_000 {
      let name = Array(String(index, radix: 36).utf8)
      exports += Self.join([UInt8(name.count)], name, [3, 0])
    }
    let failure = B.failure(Self.join(W.header, W.section(6, [1, 0x7F, 0, 0x41, 0, 0x0B]), W.section(7, exports)))
    #expect(failure?.message.hasPrefix("too many exports") == true)
  }

  @Test func `a function body has a largest size`() throws {
    func module(_ byteCount: Int) -> [UInt8] {
      var writer = W(types: [([], [])])
      writer.functions = [(0, [], W.repeated([0x01], byteCount - 2))]
      return writer.bytes
    }
    #expect(B.failure(module(ModuleLimits.functionByteCountMax)) == nil)
    #expect(B.failure(module(ModuleLimits.functionByteCountMax + 1))?.message.hasPrefix("function body too large") == true)
  }

  @Test func `locals are counted over all groups, and with operands they share the slots of a frame`() throws {
    // More than a frame has: refused by the validator with the sentence of the runtime.
    let sentence = "function 0 needs more than 32767 slots for parameters, locals and operands"
    for groups in [[49_999], [50_000], [30_000, 20_000], [32_767]] {
      #expect(B.failure(Self.locals(groups))?.message == sentence, "\(groups)")
    }
    for groups in [[50_001], [30_000, 20_001], [0xFFFF_FFFF], [0xFFFF_FFFF, 1]] {
      #expect(B.failure(Self.locals(groups))?.message.hasPrefix("too many locals") == true, "\(groups)")
    }
    let most = ModuleLimits.slotCountMax - ModuleLimits.reservedSlotCount
    #expect(B.failure(Self.locals([most])) == nil)
    #expect(B.failure(Self.locals([most + 1]))?.message == sentence)
    // Half of them operands, reached or not.
    for before: [UInt8] in [[], [0x00]] {
      for extra in [0, 1] {
        var writer = W(types: [([], [])])
        let operands = most - most / 2 + extra
        writer.functions = [
          (0, [(most / 2, W.i32)], Self.join(before, W.repeated([0x41, 0], operands), W.repeated([0x1A], operands)))
        ]
        #expect(B.failure(writer.bytes)?.message == (extra == 0 ? nil : sentence))
      }
    }
  }

  @Test func `constant expressions have a largest stack`() {
    func global(_ count: Int) -> [UInt8] {
      let code = Self.join([1, 0x7F, 0], W.repeated([0x41, 1], count), W.repeated([0x6A], count - 1), [0x0B])
      return Self.join(W.header, W.section(6, code))
    }
    #expect(B.failure(global(10_000)) == nil)
    #expect(B.failure(global(10_001))?.message.hasPrefix("constant expression too large") == true)
  }

  @Test func `groups of no locals are many, and each is read`() {
    var writer = W(types: [([], [])])
    writer.functions = [(0, [(count: Int, type: UInt8)](repeating: (0, W.i32), count: 300_000), [])]
    #expect(B.failure(writer.bytes) == nil)
  }

  @Test func `memory is asked for before it is taken, and a refusal is an error`() throws {
    // What the lists of a million types, exports and so on take is far more than their bytes.
    for limit in Self.limits where limit.most >= 100_000 {
      let bytes = limit.make(limit.most)
      var granted = 0
      let all = Supervision(charge: { granted += $0; return true }, shouldStop: { false })
      let module = try Module.parse(bytes, supervision: all)
      #expect(module.chargedByteCount == granted && granted > 0)
      let whole = granted
      let returned = try Validator.validate(module, supervision: all)
      #expect(returned == granted - whole)
      granted = 0
      let half = Supervision(charge: { granted += $0; return granted <= whole / 2 }, shouldStop: { false })
      do {
        _ = try Module.parse(bytes, supervision: half)
        Issue.record("\(limit.what): was granted half and parsed")
      } catch { #expect(error.reason == .outOfMemory, "\(error)") }
    }
  }

  @Test func `nested blocks are paid for`() throws {
    var writer = W(types: [([], [])])
    writer.functions = [(0, [], Self.join(W.repeated([0x02, 0x40], 1_000_000), W.repeated([0x0B], 1_000_000)))]
    let module = try Module.parse(writer.bytes)
    var granted = 0
    let some = Supervision(charge: { granted += $0; return granted <= 1 << 22 }, shouldStop: { false })
    do {
      _ = try Validator.validate(module, supervision: some)
      Issue.record("a million blocks fit in 4 MiB")
    } catch { #expect(error.reason == .outOfMemory, "\(error)") }
    #expect(try Validator.validate(module) >= 16_000_000)
  }

  @Test func `reading and checking stop when they are told to`() throws {
    for limit in Self.limits where limit.most >= 100_000 && limit.what != "name too long" {
      let bytes = limit.make(limit.most)
      var asked = 0
      let last = Supervision(charge: { _ in true }, shouldStop: { asked += 1; return false })
      let module = try Module.parse(bytes, supervision: last)
      #expect(asked >= bytes.count >> 17, "\(limit.what)")
      let stopping = Supervision(charge: { _ in true }, shouldStop: { asked -= 1; return asked == 0 })
      do {
        _ = try Module.parse(bytes, supervision: stopping)
        Issue.record("\(limit.what): was not stopped")
      } catch { #expect(error.reason == .stopped) }
      _ = module
    }
  }
}
