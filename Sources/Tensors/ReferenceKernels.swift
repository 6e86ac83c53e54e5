/// Every operation of the `tensor` import module as plain loops: the oracle that both providers are tested against.
///
/// Correct and clear first, never fast. Unless said otherwise every sum and every function is computed in float64 from
/// exactly decoded operands and rounded to float32 once, at the end. All matrices are row-major and contiguous. Operands are
/// checked; a wrong length throws rather than traps, so that tests can be written about it.
///
/// Letters: N rows, I columns in, O columns out, H query heads, G key/value heads (H is a multiple of G), D head dimension.
/// The tolerance of each operation stands beside it: what an implementation in float32 may differ by.
public enum ReferenceKernels {
  /// Float32 arithmetic on exact operands: only the order of summation and the last bits of functions differ. Errors of
  /// 2⁻²⁴ per operation, growing at most with the length of the sum, squared: 1e-10 leaves room for sums of 16384 terms.
  public static let floatTolerance = KernelTolerance(normalizedSquaredErrorMax: 1e-10)

  /// Activations rounded to 8 bits in blocks of 32 before the product, as llama.cpp does: the rounding error of a normally
  /// distributed block is about 2.5e-5 of its squared sum; outliers make it worse. ggml's own tests allow 5e-4.
  public static let quantizedActivationTolerance = KernelTolerance(normalizedSquaredErrorMax: 1e-4)

  static func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(KernelError) {
    guard condition else { throw .shapeMismatch(message()) }
  }

  static func requireMatrix(
    _ values: [Float], _ name: String, rows: Int, columns: Int
  ) throws(KernelError) {
    guard rows >= 0, columns >= 0, values.count == rows * columns else {
      throw .shapeMismatch("\(name): [\(rows), \(columns)] expected, found \(values.count) elements")
    }
  }
}
