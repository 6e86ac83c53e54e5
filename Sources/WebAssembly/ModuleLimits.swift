/// How large the parts of a module may be. Numbers of the language that nobody needs are refused before anything is made for
/// them; the limits of the common engines are kept to, so that a module that runs elsewhere is not refused here.
///
/// What a module costs beyond these is bounded by whoever pays for it: see ``Supervision``.
public enum ModuleLimits {
  /// Bytes of a module.
  public static let moduleByteCountMax = 1 << 30
  /// Bytes of the body of a function, its declarations of locals included.
  public static let functionByteCountMax = 7_654_321
  /// Bytes of a name of an import, an export or a section.
  public static let nameByteCountMax = 100_000
  public static let typeCountMax = 1_000_000
  /// Imported and defined ones together, as for tables, memories and globals.
  public static let functionCountMax = 1_000_000
  public static let tableCountMax = 100
  public static let memoryCountMax = 100
  public static let globalCountMax = 1_000_000
  public static let importCountMax = 1_000_000
  public static let exportCountMax = 1_000_000
  public static let elementSegmentCountMax = 100_000
  public static let dataSegmentCountMax = 100_000
  /// Parameters of a function or block type.
  public static let parameterCountMax = 1000
  /// Results of a function or block type.
  public static let resultCountMax = 1000
  /// Locals that a function declares.
  public static let localCountMax = 50_000
  /// Operands that a constant expression may have on its stack at one time.
  public static let constantOperandCountMax = 10_000
  /// Slots of a function's frame: parameters, locals, operands, and ``reservedSlotCount`` for what the engine keeps there.
  public static let slotCountMax = 32_767
  /// Slots of a frame that no local and no operand gets: constants of loops, and what calls of the engine leave.
  public static let reservedSlotCount = 67
}
