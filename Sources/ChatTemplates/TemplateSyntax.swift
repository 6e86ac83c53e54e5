/// An expression and where it starts in the template.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case literal(TemplateValue)
    case name(String)
    case list([TemplateExpression], isTuple: Bool)
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case subscript_(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, start: TemplateExpression?, stop: TemplateExpression?, step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments)
    case not(TemplateExpression)
    case negate(TemplateExpression)
    case plus(TemplateExpression)
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case binary(TemplateToken.Symbol, TemplateExpression, TemplateExpression)
    case concatenation([TemplateExpression])
    /// a < b <= c: each with its left neighbour.
    case comparison(TemplateExpression, [(Comparison, TemplateExpression)])
    /// `a if condition else b`; without `else` it is undefined.
    case conditional(condition: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
  }

  enum Comparison: Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, contained, notContained }

  let kind: Kind
  let offset: Int
  /// Levels of expressions within it, itself included: what evaluating and freeing it takes of the stack.
  let depth: Int

  init(kind: Kind, offset: Int) {
    self.kind = kind
    self.offset = offset
    depth = 1 + Self.innerDepth(kind)
  }

  init(literal: TemplateValue, offset: Int) {
    self.kind = .literal(literal)
    self.offset = offset
    depth = 1
  }

  private static func innerDepth(_ kind: Kind) -> Int {
    func deepest(_ expressions: [TemplateExpression]) -> Int { expressions.reduce(0) { max($0, $1.depth) } }
    switch kind {
    case .literal, .name: return 0
    case .list(let elements, _), .concatenation(let elements): return deepest(elements)
    case .dictionary(let entries): return entries.reduce(0) { max($0, $1.key.depth, $1.value.depth) }
    case .attribute(let inner, _), .not(let inner), .negate(let inner), .plus(let inner): return inner.depth
    case .subscript_(let a, let b), .and(let a, let b), .or(let a, let b), .binary(_, let a, let b): return max(a.depth, b.depth)
    case .slice(let owner, let start, let stop, let step):
      return max(owner.depth, deepest([start, stop, step].compactMap { $0 }))
    case .call(let owner, let arguments), .filter(let owner, _, let arguments), .test(let owner, _, let arguments):
      return max(owner.depth, deepest(arguments.positional), deepest(arguments.named.map(\.value)))
    case .comparison(let first, let links): return max(first.depth, deepest(links.map(\.1)))
    case .conditional(let condition, let then, let otherwise): return max(condition.depth, then.depth, otherwise?.depth ?? 0)
    }
  }
}

struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}

/// Where an assignment puts its value.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case attribute(of: String, String)
  case tuple([TemplateTarget])
}

struct TemplateStatement: Sendable {
  indirect enum Kind: Sendable {
    case text(TemplateString)
    case print(TemplateExpression)
    case `if`([(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case `for`(TemplateLoop)
    case set(TemplateTarget, TemplateExpression)
    /// `{% set name %} ... {% endset %}`, its text through filters.
    case setBlock(TemplateTarget, [TemplateStatement], filters: [(String, TemplateArguments)])
    case macro(MacroDefinition)
    /// A scope of its own, with these names.
    case with([(TemplateTarget, TemplateExpression)], [TemplateStatement])
    case `break`, `continue`
  }

  let kind: Kind
  let offset: Int
}

struct TemplateLoop: Sendable {
  let target: TemplateTarget
  let sequence: TemplateExpression
  let condition: TemplateExpression?
  let body: [TemplateStatement]
  let otherwise: [TemplateStatement]
}

/// `{% macro name(parameter, other=default) %}`.
final class MacroDefinition: Sendable {
  let name: String
  let parameters: [(name: String, defaultValue: TemplateExpression?)]
  let body: [TemplateStatement]

  init(name: String, parameters: [(name: String, defaultValue: TemplateExpression?)], body: [TemplateStatement]) {
    self.name = name
    self.parameters = parameters
    self.body = body
  }
}
