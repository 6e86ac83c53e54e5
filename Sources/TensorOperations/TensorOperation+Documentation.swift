import Tensors

extension TensorOperation {
  /// The table of the room's page: one line per operation. A test holds the page against it.
  package static var documentationTable: String {
    var text = "| operation | parameters | meaning | rules | tolerance |\n|---|---|---|---|---|\n"
    for operation in all {
      let parameters = operation.parameters.map(\.documentation).joined(separator: ", ")
      let rules = operation.rules.map(\.documentation).joined(separator: "; ")
      let error = operation.tolerance.normalizedSquaredErrorMax
      text += "| `\(operation.name)` | \(parameters) | \(operation.summary) | \(rules) | \(error == 0 ? "exact" : "\(error)") |\n"
    }
    return text
  }
}

extension TensorOperation.Parameter {
  /// `out: write f32[rows, columns] in scratch`, `rows: i32`.
  fileprivate var documentation: String {
    switch kind {
    case .operand(let operand):
      let element =
        switch operand.element {
        case .f32: "f32"
        case .i32: "i32"
        case .i64: "i64"
        case .typed(let type): "`\(type)`"
        }
      let access =
        switch operand.access {
        case .read: ""
        case .write: "out "
        case .readWrite: "in-out "
        }
      let equal = operand.mayEqual.isEmpty ? "" : " (may equal \(operand.mayEqual.joined(separator: ", ")))"
      return "\(name): \(access)\(element)[\(operand.shape.joined(separator: ", "))] in \(operand.memory.rawValue)\(equal)"
    case .count, .elementType: return "\(name): i32"
    case .elementCount, .offset: return "\(name): i64"
    case .scalar: return "\(name): f32"
    }
  }
}

extension TensorOperation.Rule {
  fileprivate var documentation: String {
    switch self {
    case .multiple(let a, let b): "\(a) is a multiple of \(b)"
    case .atMost(let a, let b): "\(a) ≤ \(b)"
    case .sumAtMost(let a, let b, let c): "\(a) + \(b) ≤ \(c)"
    case .atLeast(let a, let minimum): "\(a) ≥ \(minimum)"
    case .even(let a): "\(a) is even"
    case .oneOf(let a, let values): "\(a) is one of \(values.map(String.init).joined(separator: ", "))"
    case .type(let a, let numbers): "\(a) is one of \(numbers.map(String.init).joined(separator: ", "))"
    case .idsBelow(let ids, let count): "\(ids) < \(count)"
    case .cacheRows(let rows):
      "cache rows at \(rows.planeOffset) of width \(rows.width.joined(separator: " · ")) are "
        + (rows.access == .read ? "readable" : "writable")
    }
  }
}
