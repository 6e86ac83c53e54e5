/// What rendering may cost. Templates come with weight files from strangers: one must not hang the host or eat its memory.
public struct ChatTemplateLimits: Sendable {
  /// Characters of the template. The longest published ones, with tools, have some 20 000.
  public var sourceCharacterCountMax = 1 << 18

  /// Steps of evaluation: one per expression or statement evaluated, one per element and one per eight bytes of text that an
  /// operation makes or walks. A conversation of a thousand messages takes some 50 000, one of a megabyte some 500 000.
  public var stepCountMax = 1 << 21

  /// Bytes of output.
  public var outputByteCountMax = 1 << 24

  /// Expressions in expressions, blocks in blocks, lists in lists: each level takes stack.
  public var nestingDepthMax = 100

  /// Statements and expressions that are evaluated within each other at one time, through all macros: each takes up to a kibibyte of
  /// stack, and threads of services have 512. A macro that calls itself takes four.
  public var evaluationDepthMax = 320

  public init() {}
}
