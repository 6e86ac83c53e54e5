import _TestSupport

/// Modules that cost more than they should where something is done again for each instruction: each is a family, larger by its
/// count. All are valid.
enum AdversarialModules {
  private typealias W = ModuleWriter
  private static let i32 = W.i32

  /// A function [i32] -> [i32] with more types.
  private static func module(
    _ parts: [UInt8]..., types: [(parameters: [UInt8], results: [UInt8])] = [], locals: [(count: Int, type: UInt8)] = []
  ) -> [UInt8] {
    var writer = W(types: [([i32], [i32])])
    writer.types += types
    writer.functions = [(0, locals, Array(parts.joined()))]
    return writer.bytes
  }

  private static let many = [UInt8](repeating: W.i32, count: 1000)

  private static func values(_ count: Int) -> [UInt8] { W.repeated([0x20, 0], count) }
  private static func drops(_ count: Int) -> [UInt8] { W.repeated([0x1A], count) }
  private static let depth = 20_000

  static let families: [(name: String, make: @Sendable (Int) -> [UInt8])] = [
    ("local.set below a deep stack",
      { module(values(depth), W.repeated([0x20, 1, 0x21, 2], $0), drops(depth), [0x20, 0], locals: [(2, i32)]) }),
    ("local.tee below a deep stack of constants",
      { module(W.repeated([0x41, 7], depth), W.repeated([0x20, 1, 0x22, 2, 0x1A], $0), drops(depth), [0x20, 0], locals: [(2, i32)]) }),
    ("local.set of an i64 of which a sum is pending",
      // local.get 1, local.get 1, i64.const 1, i64.add, local.set 1, drop
      { module(values(depth), W.repeated([0x20, 1, 0x20, 1, 0x42, 1, 0x7C, 0x21, 1, 0x1A], $0), drops(depth), [0x20, 0], locals: [(1, 0x7E)]) }),
    ("local.set of many locals that all are pending",
      { count in
        var (gets, sets): ([UInt8], [UInt8]) = ([], [])
        for local in 1...1000 {
          gets += [0x20]
          gets += W.leb(local)
          sets += [0x20, 0, 0x21]
          sets += W.leb(local)
        }
        let round: [UInt8] = Array([gets, sets, drops(1000)].joined())
        return module(W.repeated(round, count / 1000), [0x20, 0], locals: [(1000, i32)])
      }),
    ("blocks below a deep stack of constants",
      { module(W.repeated([0x41, 7], depth), W.repeated([0x02, 0x40, 0x0B], $0), drops(depth), [0x20, 0]) }),
    ("ifs below a deep stack of constants",
      { module(W.repeated([0x41, 7], depth), W.repeated([0x20, 0, 0x04, 0x40, 0x0B], $0), drops(depth), [0x20, 0]) }),
    ("loops with parameters",
      { module(W.repeated([0x41, 7], 1000), W.repeated([0x03, 1, 0x0B], $0), drops(1000), [0x20, 0], types: [(many, many)]) }),
    ("if and else with parameters",
      { module(W.repeated([0x41, 7], 1000), W.repeated([0x20, 0, 0x04, 1, 0x05, 0x0B], $0), drops(1000), [0x20, 0], types: [(many, many)]) }),
    ("blocks left by a branch, with results",
      { module(W.repeated([0x41, 7], 1000), W.repeated([0x02, 1, 0x0C, 0, 0x0B], $0), drops(1000), [0x20, 0], types: [(many, many)]) }),
    ("branches with many results",
      { module([0x02, 1], values(1000), W.repeated([0x20, 0, 0x0D, 0], $0), [0x0F, 0x0B], drops(999), types: [([], many)]) }),
    ("branches out of the function with many results",
      { count in
        var writer = W(types: [([i32], many)])
        writer.functions = [(0, [], Array([values(1000), W.repeated([0x20, 0, 0x0D, 0], count)].joined()))]
        return writer.bytes
      }),
    ("calls with many parameters and results",
      { count in
        var writer = W(types: [([i32], [i32]), (many, many)])
        var identity: [UInt8] = []
        for local in 0..<1000 {
          identity += [0x20]
          identity += W.leb(local)
        }
        writer.functions = [(0, [], Array([values(1000), W.repeated([0x10, 1], count), drops(999)].joined())), (1, [], identity)]
        return writer.bytes
      }),
    ("nested blocks", { module(W.repeated([0x02, 0x40], $0), W.repeated([0x0B], $0), [0x20, 0]) }),
    ("nested blocks in code that is not reached",
      { module([0x20, 0, 0x0F], W.repeated([0x02, 0x40], $0), W.repeated([0x0B], $0)) }),
    ("a branch table with one label", { module([0x02, 0x40, 0x20, 0, 0x0E], W.leb($0), [UInt8](repeating: 0, count: $0 + 1), [0x0B, 0x20, 0]) }),
    ("a branch table with as many labels as blocks",
      { count in
        var labels: [UInt8] = []
        for label in 0...count { labels += W.leb(label) }
        return module(W.repeated([0x02, 0x40], count + 1), [0x20, 0, 0x0E], W.leb(count), labels, W.repeated([0x0B], count + 1), [0x20, 0])
      }),
    ("branch tables whose labels take many values",
      { count in
        var table: [UInt8] = [0x02, 2, 0x20, 0, 0x0E, 60]
        table += [UInt8](repeating: 0, count: 30)
        table += [UInt8](repeating: 1, count: 31)
        table.append(0x0B)
        let tables = W.repeated(table, count / 100)
        return module(values(1000), [0x02, 1], tables, [0x0B], drops(1000), [0x20, 0], types: [(many, many), (many, many)])
      }),
    ("selects and sums of v128 on a deep stack",
      { module(W.repeated([0x20, 1], depth), W.repeated([0x20, 1, 0x20, 1, 0xFD, 0xAE, 0x01, 0x21, 1], $0), drops(depth), [0x20, 0], locals: [(1, 0x7B)]) }),
    ("many functions with many locals",
      { count in
        var writer = W(types: [([i32], [i32])])
        writer.functions = (0..<count / 10).map { _ in (0, [(30_000, i32)], [0x20, 0]) }
        return writer.bytes
      }),
  ]
}
