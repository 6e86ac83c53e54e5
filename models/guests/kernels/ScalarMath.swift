/// Scalar functions in double precision, for tables: error below 1e-14 where said.
enum ScalarMath {
  /// sin x and cos x for |x| < 2²⁰.
  ///
  /// x = n π/2 + r with |r| <= π/4, π/2 in three parts of which n times the first two is exact; Taylor series of r.
  static func sineAndCosine(_ x: Double) -> (sine: Double, cosine: Double) {
    let n = (x * 0.6366197723675814).rounded(.toNearestOrEven)
    let r = ((x - n * 0x1.921fb544p0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69
    let square = r * r
    var s = -1.0 / 1_307_674_368_000
    s = s * square + 1.0 / 6_227_020_800
    s = s * square - 1.0 / 39_916_800
    s = s * square + 1.0 / 362_880
    s = s * square - 1.0 / 5040
    s = s * square + 1.0 / 120
    s = s * square - 1.0 / 6
    let sine = s * square * r + r
    var c = 1.0 / 20_922_789_888_000
    c = c * square - 1.0 / 87_178_291_200
    c = c * square + 1.0 / 479_001_600
    c = c * square - 1.0 / 3_628_800
    c = c * square + 1.0 / 40320
    c = c * square - 1.0 / 720
    c = c * square + 1.0 / 24
    c = c * square - 0.5
    let cosine = c * square + 1
    switch Int64(n) & 3 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  /// eˣ for |x| < 700.
  static func exponential(_ x: Double) -> Double {
    let n = (x * 1.4426950408889634).rounded(.toNearestOrEven)
    let r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33
    var p = 1.0
    var k = 14.0
    while k > 0 {
      p = p * r / k + 1
      k -= 1
    }
    return p * Double(bitPattern: UInt64(bitPattern: Int64(n) + 1023) << 52)
  }

  /// The natural logarithm of a positive normal number.
  static func logarithm(_ x: Double) -> Double {
    var bits = x.bitPattern
    var exponent = Int64(bits >> 52) - 1023
    bits = (bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000
    var mantissa = Double(bitPattern: bits)
    if mantissa > 1.4142135623730951 {
      mantissa /= 2
      exponent += 1
    }
    let s = (mantissa - 1) / (mantissa + 1), square = s * s
    var sum = 0.0
    var k = 25.0
    while k > 0 {
      sum = sum * square + 1 / k
      k -= 2
    }
    return 2 * s * sum + Double(exponent) * 0.6931471805599453
  }
}
