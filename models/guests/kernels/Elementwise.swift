import GuestImports

// Operations on `count` floats; out may equal an operand.

@inline(__always)
private func map(_ out: UInt64, _ x: UInt64, _ count: UInt64, _ function: (SIMD4<Float>) -> SIMD4<Float>) {
  var offset: UInt64 = 0
  let wholeByteCount = (count & ~3) &* 4, byteCount = count &* 4
  while offset < wholeByteCount {
    scratch_store(out &+ offset, 0, function(scratch_load(x &+ offset, 0)))
    offset &+= 16
  }
  while offset < byteCount {
    scratch_f32_store(out &+ offset, function(scratch_v128_load32_zero(x &+ offset))[0])
    offset &+= 4
  }
}

@inline(__always)
private func zip(
  _ out: UInt64, _ a: UInt64, _ b: UInt64, _ count: UInt64, _ function: (SIMD4<Float>, SIMD4<Float>) -> SIMD4<Float>
) {
  var offset: UInt64 = 0
  let wholeByteCount = (count & ~3) &* 4, byteCount = count &* 4
  while offset < wholeByteCount {
    scratch_store(out &+ offset, 0, function(scratch_load(a &+ offset, 0), scratch_load(b &+ offset, 0)))
    offset &+= 16
  }
  while offset < byteCount {
    scratch_f32_store(
      out &+ offset, function(scratch_v128_load32_zero(a &+ offset), scratch_v128_load32_zero(b &+ offset))[0])
    offset &+= 4
  }
}

/// A count argument of 64 bits; traps where no memory could hold so many floats.
@inline(__always)
private func checked(_ count: UInt64) -> UInt64 {
  if count >> 60 != 0 { misuse("count is negative or beyond any memory; its high bits:", Int32(truncatingIfNeeded: count >> 32)) }
  return count
}

@_expose(wasm, "add")
@_cdecl("add")
public func add(_ out: UInt64, _ a: UInt64, _ b: UInt64, _ count: UInt64) {
  zip(out, a, b, checked(count)) { $0 + $1 }
}

@_expose(wasm, "mul")
@_cdecl("mul")
public func mul(_ out: UInt64, _ a: UInt64, _ b: UInt64, _ count: UInt64) {
  zip(out, a, b, checked(count)) { $0 * $1 }
}

@_expose(wasm, "scale")
@_cdecl("scale")
public func scale(_ out: UInt64, _ x: UInt64, _ count: UInt64, _ factor: Float) {
  map(out, x, checked(count)) { $0 * SIMD4(repeating: factor) }
}

@_expose(wasm, "silu")
@_cdecl("silu")
public func silu(_ out: UInt64, _ x: UInt64, _ count: UInt64) {
  map(out, x, checked(count), sigmoidLinear)
}

@_expose(wasm, "gelu")
@_cdecl("gelu")
public func gelu(_ out: UInt64, _ x: UInt64, _ count: UInt64) {
  map(out, x, checked(count), gaussianErrorLinear)
}

@_expose(wasm, "gelu_tanh")
@_cdecl("gelu_tanh")
public func gelu_tanh(_ out: UInt64, _ x: UInt64, _ count: UInt64) {
  map(out, x, checked(count), gaussianErrorLinearTanh)
}

@_expose(wasm, "silu_mul")
@_cdecl("silu_mul")
public func silu_mul(_ out: UInt64, _ gate: UInt64, _ up: UInt64, _ count: UInt64) {
  zip(out, gate, up, checked(count)) { sigmoidLinear($0) * $1 }
}

@_expose(wasm, "gelu_tanh_mul")
@_cdecl("gelu_tanh_mul")
public func gelu_tanh_mul(_ out: UInt64, _ gate: UInt64, _ up: UInt64, _ count: UInt64) {
  zip(out, gate, up, checked(count)) { gaussianErrorLinearTanh($0) * $1 }
}

