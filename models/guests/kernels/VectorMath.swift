import GuestImports

// Functions of four lanes. Polynomials were fitted for least relative error; each function says how far it is off.

@inline(__always)
func maximum(_ x: SIMD4<Float>) -> Float {
  let pairs = f32x4_max(x, f32x4_swap_pairs(x))
  let all = f32x4_max(pairs, f32x4_from_i32x4(i32x4_high_halves(i32x4_from_f32x4(pairs), i32x4_from_f32x4(pairs))))
  return all[0]
}

@inline(__always)
func laneSum(_ x: SIMD4<Float>) -> Float { (x[0] + x[1]) + (x[2] + x[3]) }

/// The sums of four vectors, one a lane.
@inline(__always)
func laneSums(_ a: SIMD4<Float>, _ b: SIMD4<Float>, _ c: SIMD4<Float>, _ d: SIMD4<Float>) -> SIMD4<Float> {
  let ab = f32x4_even(a, b) + f32x4_odd(a, b), cd = f32x4_even(c, d) + f32x4_odd(c, d)
  return f32x4_even(ab, cd) + f32x4_odd(ab, cd)
}

/// eˣ, relative error below 2e-7; 0 below -87.3, infinity above 88.7.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; eʳ by a polynomial; the factor 2ⁿ as two factors, so that n = 128 is reached.
@inline(__always)
func exponential(_ x: SIMD4<Float>) -> SIMD4<Float> {
  let clamped = f32x4_max(f32x4_min(x, SIMD4(repeating: 89)), SIMD4(repeating: -104))
  let n = f32x4_nearest(clamped * SIMD4(repeating: 1.4426950408889634))
  // ln 2 in two parts: n times the first is exact.
  let r = f32x4_madd(n, SIMD4(repeating: 2.12194440e-4), f32x4_madd(n, SIMD4(repeating: -0.693359375), clamped))
  var p = f32x4_madd(SIMD4(repeating: 1.0 / 5040), r, SIMD4(repeating: 1.0 / 720))
  p = f32x4_madd(p, r, SIMD4(repeating: 1.0 / 120))
  p = f32x4_madd(p, r, SIMD4(repeating: 1.0 / 24))
  p = f32x4_madd(p, r, SIMD4(repeating: 1.0 / 6))
  p = f32x4_madd(p, r, SIMD4(repeating: 0.5))
  p = f32x4_madd(p, r * r, r) + SIMD4(repeating: 1)
  let whole = i32x4_truncate(n)
  let half = i32x4_shift_right(whole, 1)
  let bias = SIMD4<Int32>(repeating: 127)
  let first = f32x4_from_i32x4(i32x4_shift_left(half &+ bias, 23))
  let second = f32x4_from_i32x4(i32x4_shift_left((whole &- half) &+ bias, 23))
  return p * first * second
}

/// tanh x, absolute error below 2e-7.
@inline(__always)
func hyperbolicTangent(_ x: SIMD4<Float>) -> SIMD4<Float> {
  // Below 0.3 the quotient cancels: the series to x⁹ there.
  let square = x * x
  var p = SIMD4<Float>(repeating: 62.0 / 2835)
  p = p * square + SIMD4(repeating: -17.0 / 315)
  p = p * square + SIMD4(repeating: 2.0 / 15)
  p = p * square + SIMD4(repeating: -1.0 / 3)
  let series = p * square * x + x
  let bounded = f32x4_max(f32x4_min(x, SIMD4(repeating: 10)), SIMD4(repeating: -10))
  let e = exponential(bounded + bounded)
  let quotient = (e - SIMD4(repeating: 1)) / (e + SIMD4(repeating: 1))
  return f32x4_select(f32x4_less(f32x4_abs(x), SIMD4(repeating: 0.3)), series, quotient)
}

/// x / (1 + e⁻ˣ).
@inline(__always)
func sigmoidLinear(_ x: SIMD4<Float>) -> SIMD4<Float> {
  x / (SIMD4(repeating: 1) + exponential(SIMD4() - x))
}

/// x/2 · (1 + tanh u) with u = √(2/π) (x + 0.044715 x³).
///
/// Taken as x / (1 + e⁻²ᵘ), which is the same and does not cancel for negative x.
@inline(__always)
func gaussianErrorLinearTanh(_ x: SIMD4<Float>) -> SIMD4<Float> {
  let minusTwoU = (x * x * SIMD4(repeating: -0.0713548162726) + SIMD4(repeating: -1.5957691216057308)) * x
  return x / (SIMD4(repeating: 1) + exponential(minusTwoU))
}

/// x/2 · (1 + erf(x/√2)), relative error below 3e-7.
///
/// With a = |x|/√2 it is x/2 · erfc(a) for negative x and x · (1 - erfc(a)/2) for others: nothing cancels. erfc(a) is
/// 1 - a P(a²) up to 1 and e^(-a²) Q(1/(1 + a/2)) beyond.
@inline(__always)
func gaussianErrorLinear(_ x: SIMD4<Float>) -> SIMD4<Float> {
  let a = f32x4_min(f32x4_abs(x) * SIMD4(repeating: 0.7071067811865476), SIMD4(repeating: 10))
  let square = a * a
  var p = SIMD4<Float>(repeating: 7.88249711e-05)
  p = p * square + SIMD4(repeating: -8.01885499e-04)
  p = p * square + SIMD4(repeating: 5.18931194e-03)
  p = p * square + SIMD4(repeating: -2.68543288e-02)
  p = p * square + SIMD4(repeating: 1.12835975e-01)
  p = p * square + SIMD4(repeating: -3.76126269e-01)
  p = p * square + SIMD4(repeating: 1.12837917)
  let near = SIMD4(repeating: 1) - a * p
  let t = SIMD4<Float>(repeating: 1) / (SIMD4(repeating: 1) + a * SIMD4(repeating: 0.5))
  var q = SIMD4<Float>(repeating: -8.10799085e-02)
  q = q * t + SIMD4(repeating: 2.49713100e-02)
  q = q * t + SIMD4(repeating: 3.02563037e-01)
  q = q * t + SIMD4(repeating: 1.66895899e-01)
  q = q * t + SIMD4(repeating: 3.07229036e-01)
  q = q * t + SIMD4(repeating: 2.78088479e-01)
  q = q * t + SIMD4(repeating: 2.58542566e-04)
  let far = exponential(SIMD4() - square) * q
  let half = SIMD4(repeating: 0.5) * f32x4_select(f32x4_less(a, SIMD4(repeating: 1)), near, far)
  return x * f32x4_select(f32x4_less(x, SIMD4()), half, SIMD4(repeating: 1) - half)
}
