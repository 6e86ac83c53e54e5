import Tensors

/// A `TensorOperation` with names resolved to indices, so that checking a call neither searches nor allocates.
struct OperationPlan: Sendable {
  let operation: TensorOperation
  let kinds: [TensorOperation.Parameter.Kind.Plain]
  let operands: [Operand]
  let rules: [Rule]
  /// Parameters whose product is the length of a row that no kernel cuts; -1 where it is one parameter.
  let rowLengths: [(Int, Int)]
  /// The parameter that counts the entries of index operands; -1 without such operands.
  let indexedRows: Int

  // Operands and rules are bits only: reading one in a call neither retains nor copies anything.

  struct Operand: Sendable {
    let parameter: Int
    let memory: TensorOperation.MemoryName
    let access: TensorOperation.Access
    /// Bytes of an element; 0: typed, by the type parameter.
    let elementByteCount: UInt64
    let typeParameter: Int
    /// Parameters whose product is the element count; -1 where the shape has fewer.
    let shape: (Int, Int, Int)
    /// A bit for each parameter that may be the same place.
    let mayEqual: UInt32
    let isIndex: Bool
    var isOutput: Bool { access != .read }
  }

  enum Rule: Sendable {
    case multiple(Int, of: Int)
    case atMost(Int, Int)
    case sumAtMost(Int, Int, Int)
    case atLeast(Int, Int64)
    case even(Int)
    /// A bit for each number.
    case oneOf(Int, allowed: UInt64)
    case type(Int, allowed: UInt64)
    case idsBelow(ids: Int, count: Int, rows: Int)
    case cacheRows(Cache)
  }

  struct Cache: Sendable {
    let planeOffset, chunkPositions, chunkStride, rows, bases, positions, type: Int
    let width: (Int, Int)
    /// -1: no window.
    let window: Int
    let access: TensorOperation.Access
    let isHistory: Bool
  }

  init(_ operation: TensorOperation) {
    self.operation = operation
    kinds = operation.parameters.map { $0.kind.plain }
    operands = operation.parameters.enumerated().compactMap { index, parameter in
      guard case .operand(let operand) = parameter.kind else { return nil }
      let shape = operand.shape.map { operation.index(of: $0) }
      precondition((1...3).contains(shape.count), "tensor.\(operation.name): \(parameter.name) has 1 to 3 axes")
      var typeParameter = -1
      var elementByteCount: UInt64 = 4
      switch operand.element {
      case .f32, .i32: break
      case .i64: elementByteCount = 8
      case .typed(let name):
        elementByteCount = 0
        typeParameter = operation.index(of: name)
      }
      return Operand(
        parameter: index, memory: operand.memory, access: operand.access, elementByteCount: elementByteCount,
        typeParameter: typeParameter, shape: (shape[0], shape.count > 1 ? shape[1] : -1, shape.count > 2 ? shape[2] : -1),
        mayEqual: operand.mayEqual.reduce(0) { $0 | 1 << UInt32(operation.index(of: $1)) }, isIndex: operand.isIndex)
    }
    rules = operation.rules.map { Self.resolve($0, operation) }
    let names = Set(operation.parameters.map(\.name))
    rowLengths = [("columns", ""), ("columns_in", ""), ("width", ""), ("heads", "head_dim")].compactMap { first, second in
      guard names.contains(first) else { return nil }
      return (operation.index(of: first), second.isEmpty ? -1 : operation.index(of: second))
    }
    indexedRows = operands.contains { $0.isIndex && !$0.isOutput } ? operation.index(of: "rows") : -1
  }

  private static func resolve(_ rule: TensorOperation.Rule, _ operation: TensorOperation) -> Rule {
    let index = operation.index(of:)
    switch rule {
    case .multiple(let a, let b): return .multiple(index(a), of: index(b))
    case .atMost(let a, let b): return .atMost(index(a), index(b))
    case .sumAtMost(let a, let b, let c): return .sumAtMost(index(a), index(b), index(c))
    case .atLeast(let a, let minimum): return .atLeast(index(a), minimum)
    case .even(let a): return .even(index(a))
    case .oneOf(let a, let values): return .oneOf(index(a), allowed: values.reduce(0) { $0 | 1 << UInt64($1) })
    case .type(let a, let numbers): return .type(index(a), allowed: numbers.reduce(0) { $0 | 1 << UInt64($1) })
    case .idsBelow(let ids, let count): return .idsBelow(ids: index(ids), count: index(count), rows: index("rows"))
    case .cacheRows(let cache):
      let width = cache.width.map(index)
      return .cacheRows(
        Cache(
          planeOffset: index(cache.planeOffset), chunkPositions: index("chunk_positions"), chunkStride: index("chunk_stride"),
          rows: index("rows"), bases: index("bases"), positions: index("positions"), type: index("type"),
          width: (width[0], width.count > 1 ? width[1] : -1),
          window: operation.parameters.contains { $0.name == "window" } ? index("window") : -1, access: cache.access,
          isHistory: cache.isHistory))
    }
  }
}

extension TensorOperation.Parameter.Kind {
  /// The kind without its payload.
  enum Plain: Sendable { case operand, count, elementCount, offset, elementType, scalar }

  var plain: Plain {
    switch self {
    case .operand: .operand
    case .count: .count
    case .elementCount: .elementCount
    case .offset: .offset
    case .elementType: .elementType
    case .scalar: .scalar
    }
  }
}

extension TensorOperation {
  /// Resolves every name in the operation's shapes and rules, as a provider does before the first call; a name that is no
  /// parameter stops the process. For tests of the table.
  package static func checkedRuleCount(of operation: TensorOperation) -> Int { OperationPlan(operation).rules.count }
}
