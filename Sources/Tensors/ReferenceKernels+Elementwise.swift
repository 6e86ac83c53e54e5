#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension ReferenceKernels {
  /// Tolerance of the elementwise operations that use no function: one float32 operation, correctly rounded, is the same
  /// everywhere.
  public static let arithmeticTolerance = KernelTolerance.exact

  /// a + b.
  public static func add(_ a: [Float], _ b: [Float]) throws(KernelError) -> [Float] {
    try require(a.count == b.count, "add: \(a.count) and \(b.count) elements")
    return zip(a, b).map { $0 + $1 }
  }

  /// a · b.
  public static func mul(_ a: [Float], _ b: [Float]) throws(KernelError) -> [Float] {
    try require(a.count == b.count, "mul: \(a.count) and \(b.count) elements")
    return zip(a, b).map { $0 * $1 }
  }

  /// x · factor.
  public static func scale(_ x: [Float], factor: Float) -> [Float] { x.map { $0 * factor } }

  /// x + bias, the bias added to each row.
  /// - Parameters:
  ///   - x: `[N, columns]`. - bias: `[columns]` of `type`.
  public static func addBias(
    x: [Float], bias: [UInt8], type: ElementType, rows: Int, columns: Int
  ) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: rows, columns: columns)
    _ = try rowByteCount(bias, type, rows: 1, columns: columns)
    let b = try BlockDecoding.decode(bias, elementCount: columns, as: type)
    return x.indices.map { x[$0] + b[$0 % columns] }
  }

  /// Tolerance of the activations: implementations approximate exp, tanh and erf to a few units in the last place.
  public static let activationTolerance = floatTolerance

  /// x / (1 + e⁻ˣ).
  public static func silu(_ x: [Float]) -> [Float] { x.map { Float(silu(Double($0))) } }

  /// x · Φ(x), by the error function: ½ x (1 + erf(x / √2)).
  public static func gelu(_ x: [Float]) -> [Float] {
    x.map { Float(0.5 * Double($0) * (1 + erf(Double($0) * 0.5.squareRoot()))) }
  }

  /// GELU's tanh form: ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). Source: arXiv:1606.08415.
  public static func geluTanh(_ x: [Float]) -> [Float] { x.map { Float(geluTanh(Double($0))) } }

  /// silu(gate) · up: the inner half of a SwiGLU block.
  public static func siluMul(gate: [Float], up: [Float]) throws(KernelError) -> [Float] {
    try require(gate.count == up.count, "silu_mul: \(gate.count) and \(up.count) elements")
    return zip(gate, up).map { Float(silu(Double($0)) * Double($1)) }
  }

  /// geluTanh(gate) · up: the inner half of a GeGLU block.
  public static func geluTanhMul(gate: [Float], up: [Float]) throws(KernelError) -> [Float] {
    try require(gate.count == up.count, "gelu_tanh_mul: \(gate.count) and \(up.count) elements")
    return zip(gate, up).map { Float(geluTanh(Double($0)) * Double($1)) }
  }

  /// Tolerance of `rope`: angles of large positions are computed in float32 by most implementations, where one unit in the
  /// last place of an angle of 8192 is 1e-3. Implementations that reduce the angle in float64 stay below 1e-12.
  public static let ropeTolerance = KernelTolerance(normalizedSquaredErrorMax: 1e-7)

  /// Which elements rotate together.
  public enum RopeMode: Int32, Sendable {
    /// (2i, 2i + 1): `llama` files.
    case adjacentPairs = 0
    /// (i, i + ropeDimension / 2): NeoX, Gemma, Qwen.
    case halves = 1
  }

  /// Rotary position embedding: pair i of each head is turned by position · scale · base^(-2i / ropeDimension). Elements from
  /// `ropeDimension` on stay as they are.
  /// - Parameters:
  ///   - x: `[N, heads, headDimension]`. - positions: `[N]`.
  /// - Returns: `[N, heads, headDimension]`. Source: RoFormer, arXiv:2104.09864, §3.2.2.
  public static func rope(
    x: [Float], positions: [Int32], heads: Int, headDimension: Int, ropeDimension: Int, base: Float, scale: Float,
    mode: RopeMode
  ) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: positions.count, columns: heads * headDimension)
    guard ropeDimension >= 0, ropeDimension <= headDimension, ropeDimension % 2 == 0 else {
      throw .outOfRange("rope dimension \(ropeDimension) of a head of \(headDimension)")
    }
    var out = x
    for (row, position) in positions.enumerated() {
      for i in 0..<ropeDimension / 2 {
        let frequency = pow(Double(base), -2 * Double(i) / Double(ropeDimension))
        let angle = Double(position) * Double(scale) * frequency
        let (cosine, sine) = (cos(angle), sin(angle))
        for head in 0..<heads {
          let start = (row * heads + head) * headDimension
          let (first, second) = mode == .adjacentPairs ? (2 * i, 2 * i + 1) : (i, i + ropeDimension / 2)
          let (a, b) = (Double(x[start + first]), Double(x[start + second]))
          out[start + first] = Float(a * cosine - b * sine)
          out[start + second] = Float(a * sine + b * cosine)
        }
      }
    }
    return out
  }

  static func exponential(_ x: Double) -> Double { exp(x) }
  static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
  private static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }
  private static func geluTanh(_ x: Double) -> Double {
    0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }
}
