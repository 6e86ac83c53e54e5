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

  static let families: [(name: String, make: @Sendable (Int) -> [UInt8])] = {
    var families: [(name: String, make: @Sendable (Int) -> [UInt8])] = []
    func add(_ name: String, _ make: @escaping @Sendable (Int) -> [UInt8]) { families.append((name: name, make: make)) }
    add("local.set below a deep stack") { count in
      module(values(depth), W.repeated([0x20, 1, 0x21, 2], count), drops(depth), [0x20, 0], locals: [(2, i32)])
    }
    add("local.tee below a deep stack of constants") { count in
      module(W.repeated([0x41, 7], depth), W.repeated([0x20, 1, 0x22, 2, 0x1A], count), drops(depth), [0x20, 0], locals: [(2, i32)])
    }
    // local.get 1, local.get 1, i64.const 1, i64.add, local.set 1, drop
    add("local.set of an i64 of which a sum is pending") { count in
      module(values(depth), W.repeated([0x20, 1, 0x20, 1, 0x42, 1, 0x7C, 0x21, 1, 0x1A], count), drops(depth), [0x20, 0], locals: [(1, 0x7E)])
    }
    add("local.set of many locals that all are pending") { count in
      var (gets, sets): ([UInt8], [UInt8]) = ([], [])
      for local in 1...1000 {
        gets += [0x20]
        gets += W.leb(local)
        sets += [0x20, 0, 0x21]
        sets += W.leb(local)
      }
      let round: [UInt8] = Array([gets, sets, drops(1000)].joined())
      return module(W.repeated(round, count / 1000), [0x20, 0], locals: [(1000, i32)])
    }
    add("blocks below a deep stack of constants") { count in
      module(W.repeated([0x41, 7], depth), W.repeated([0x02, 0x40, 0x0B], count), drops(depth), [0x20, 0])
    }
    add("ifs below a deep stack of constants") { count in
      module(W.repeated([0x41, 7], depth), W.repeated([0x20, 0, 0x04, 0x40, 0x0B], count), drops(depth), [0x20, 0])
    }
    add("loops with parameters") { count in
      module(W.repeated([0x41, 7], 1000), W.repeated([0x03, 1, 0x0B], count), drops(1000), [0x20, 0], types: [(many, many)])
    }
    add("if and else with parameters") { count in
      module(W.repeated([0x41, 7], 1000), W.repeated([0x20, 0, 0x04, 1, 0x05, 0x0B], count), drops(1000), [0x20, 0], types: [(many, many)])
    }
    add("blocks left by a branch, with results") { count in
      module(W.repeated([0x41, 7], 1000), W.repeated([0x02, 1, 0x0C, 0, 0x0B], count), drops(1000), [0x20, 0], types: [(many, many)])
    }
    add("branches with many results") { count in
      module([0x02, 1], values(1000), W.repeated([0x20, 0, 0x0D, 0], count), [0x0F, 0x0B], drops(999), types: [([], many)])
    }
    add("branches out of the function with many results") { count in
      var writer = W(types: [([i32], many)])
      writer.functions = [(0, [], Array([values(1000), W.repeated([0x20, 0, 0x0D, 0], count)].joined()))]
      return writer.bytes
    }
    add("calls with many parameters and results") { count in
      var writer = W(types: [([i32], [i32]), (many, many)])
      var identity: [UInt8] = []
      for local in 0..<1000 {
        identity += [0x20]
        identity += W.leb(local)
      }
      writer.functions = [(0, [], Array([values(1000), W.repeated([0x10, 1], count), drops(999)].joined())), (1, [], identity)]
      return writer.bytes
    }
    add("nested blocks") { count in
      module(W.repeated([0x02, 0x40], count), W.repeated([0x0B], count), [0x20, 0])
    }
    add("nested blocks in code that is not reached") { count in
      module([0x20, 0, 0x0F], W.repeated([0x02, 0x40], count), W.repeated([0x0B], count))
    }
    add("a branch table with one label") { count in
      module([0x02, 0x40, 0x20, 0, 0x0E], W.leb(count), [UInt8](repeating: 0, count: count + 1), [0x0B, 0x20, 0])
    }
    add("a branch table with as many labels as blocks") { count in
      var labels: [UInt8] = []
      for label in 0...count { labels += W.leb(label) }
      return module(W.repeated([0x02, 0x40], count + 1), [0x20, 0, 0x0E], W.leb(count), labels, W.repeated([0x0B], count + 1), [0x20, 0])
    }
    add("branch tables whose labels take many values") { count in
      var table: [UInt8] = [0x02, 2, 0x20, 0, 0x0E, 60]
      table += [UInt8](repeating: 0, count: 30)
      table += [UInt8](repeating: 1, count: 31)
      table.append(0x0B)
      let tables = W.repeated(table, count / 100)
      return module(values(1000), [0x02, 1], tables, [0x0B], drops(1000), [0x20, 0], types: [(many, many), (many, many)])
    }
    add("selects and sums of v128 on a deep stack") { count in
      module(W.repeated([0x20, 1], depth), W.repeated([0x20, 1, 0x20, 1, 0xFD, 0xAE, 0x01, 0x21, 1], count), drops(depth), [0x20, 0], locals: [(1, 0x7B)])
    }
    add("many functions with many locals") { count in
      var writer = W(types: [([i32], [i32])])
      for _ in 0..<count / 10 { writer.functions.append((type: 0, locals: [(count: 30_000, type: i32)], code: [0x20, 0])) }
      return writer.bytes
    }
    return families
  }()
}
