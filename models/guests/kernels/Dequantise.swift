import GuestImports

/// Writes `count` weights of a row as f32 to memory 0, padded with zeros to a multiple of 4.
///
/// `count` is a whole number of blocks. The layouts are those of ggml.
func dequantise(_ type: ElementType, _ address: UInt64, count: Int, to pointer: UnsafeMutableRawPointer) {
  switch type {
  case .f32: dequantiseF32(address, count, pointer)
  case .f16: dequantiseHalf(address, count, pointer, isBrain: false)
  case .bf16: dequantiseHalf(address, count, pointer, isBrain: true)
  case .q4_0, .q4_1: forEachBlock(type, address, count, pointer, dequantiseQ4)
  case .q5_0, .q5_1: forEachBlock(type, address, count, pointer, dequantiseQ5)
  case .q8_0: forEachBlock(type, address, count, pointer, dequantiseQ8)
  case .q4_K: forEachBlock(type, address, count, pointer, dequantiseQ4K)
  case .q6_K: forEachBlock(type, address, count, pointer, dequantiseQ6K)
  }
}

@inline(__always)
private func forEachBlock(
  _ type: ElementType, _ address: UInt64, _ count: Int, _ pointer: UnsafeMutableRawPointer,
  _ body: (ElementType, UInt64, UnsafeMutableRawPointer) -> Void
) {
  var address = address, pointer = pointer
  for _ in 0..<count / type.blockElementCount {
    body(type, address, pointer)
    address &+= UInt64(type.blockByteCount)
    pointer += 4 * type.blockElementCount
  }
}

@inline(__always)
private func store(_ pointer: UnsafeMutableRawPointer, _ index: Int, _ value: SIMD4<Float>) {
  pointer.storeBytes(of: value, toByteOffset: 4 &* index, as: SIMD4<Float>.self)
}

@inline(__always)
private func store(_ pointer: UnsafeMutableRawPointer, _ index: Int, _ value: Float) {
  pointer.storeBytes(of: value, toByteOffset: 4 &* index, as: Float.self)
}

/// The f16 at `address`, exactly.
@inline(__always)
private func half(_ address: UInt64) -> Float { HalfPrecision.value(weights_i32_load16_u(address)) }

@inline(__always)
private func byte(_ address: UInt64, _ index: Int) -> Int32 {
  Int32(bitPattern: weights_i32_load8_u(address &+ UInt64(truncatingIfNeeded: index)))
}

private func dequantiseF32(_ address: UInt64, _ count: Int, _ pointer: UnsafeMutableRawPointer) {
  var index = 0
  while index &+ 4 <= count {
    store(pointer, index, weights_load_f32x4(address &+ 4 &* UInt64(index), 0))
    index &+= 4
  }
  if index == count { return }
  var last = SIMD4<Float>()
  for lane in 0..<count - index { last[lane] = weights_f32_load(address &+ 4 &* UInt64(index + lane)) }
  store(pointer, index, last)
}

/// f16, or bf16: the high half of an f32.
private func dequantiseHalf(_ address: UInt64, _ count: Int, _ pointer: UnsafeMutableRawPointer, isBrain: Bool) {
  let factor = SIMD4<Float>(repeating: HalfPrecision.factor)
  var index = 0
  while index &+ 8 <= count {
    let bits = weights_load(address &+ 2 &* UInt64(index), 0)
    let low = i32x4_widen_low(bits), high = i32x4_widen_high(bits)
    store(pointer, index, isBrain ? f32x4_from_i32x4(low) : HalfPrecision.scaledHigh(low) * factor)
    store(pointer, index &+ 4, isBrain ? f32x4_from_i32x4(high) : HalfPrecision.scaledHigh(high) * factor)
    index &+= 8
  }
  while index < count {
    let bits = weights_i32_load16_u(address &+ 2 &* UInt64(index))
    store(pointer, index, isBrain ? Float(bitPattern: bits << 16) : HalfPrecision.value(bits))
    index &+= 1
  }
  while index % 4 != 0 {
    store(pointer, index, Float(0))
    index &+= 1
  }
}

/// | d | m if Q4_1 | 16 bytes |: d (q - 8), or d q + m.
private func dequantiseQ4(_ type: ElementType, _ block: UInt64, _ pointer: UnsafeMutableRawPointer) {
  let scale = half(block)
  let minimum = type == .q4_1 ? half(block &+ 2) : -8 * scale
  let values = block &+ (type == .q4_1 ? 4 : 2)
  for index in 0..<16 {
    let packed = byte(values, index)
    store(pointer, index, scale * Float(packed & 15) + minimum)
    store(pointer, index &+ 16, scale * Float(packed >> 4) + minimum)
  }
}

/// | d | m if Q5_1 | 4 bytes: the fifth bits | 16 bytes |: d (q - 16), or d q + m.
private func dequantiseQ5(_ type: ElementType, _ block: UInt64, _ pointer: UnsafeMutableRawPointer) {
  let scale = half(block)
  let minimum = type == .q5_1 ? half(block &+ 2) : -16 * scale
  let fifths = block &+ (type == .q5_1 ? 4 : 2)
  let high = weights_i32_load(fifths)
  for index in 0..<16 {
    let packed = byte(fifths &+ 4, index)
    let low = (packed & 15) | Int32(bitPattern: (high >> UInt32(index)) & 1) << 4
    let upper = (packed >> 4) | Int32(bitPattern: (high >> UInt32(index &+ 16)) & 1) << 4
    store(pointer, index, scale * Float(low) + minimum)
    store(pointer, index &+ 16, scale * Float(upper) + minimum)
  }
}

/// | d | 32 signed bytes |
private func dequantiseQ8(_ type: ElementType, _ block: UInt64, _ pointer: UnsafeMutableRawPointer) {
  let scale = half(block)
  for index in 0..<32 {
    store(pointer, index, scale * Float(Int8(truncatingIfNeeded: byte(block &+ 2, index))))
  }
}

/// | d | dmin | 12 bytes: 8 scales and 8 minima of 6 bits | 128 bytes: 4 times 32 low nibbles, 32 high nibbles |
///
/// Group g of 32: d · scale[g] · q - dmin · minimum[g]. Scale g < 4 is the low six bits of byte g, minimum g those of byte
/// g + 4; scale g >= 4 is the low nibble of byte g + 4 and the top two bits of byte g - 4, minimum g the high nibble and the
/// top two bits of byte g.
private func dequantiseQ4K(_ type: ElementType, _ block: UInt64, _ pointer: UnsafeMutableRawPointer) {
  let scale = half(block), minimumScale = half(block &+ 2), packedScales = block &+ 4
  for group in 0..<8 {
    let groupScale: Int32
    let groupMinimum: Int32
    if group < 4 {
      groupScale = byte(packedScales, group) & 63
      groupMinimum = byte(packedScales, group &+ 4) & 63
    } else {
      groupScale = (byte(packedScales, group &+ 4) & 15) | (byte(packedScales, group &- 4) >> 6) << 4
      groupMinimum = (byte(packedScales, group &+ 4) >> 4) | (byte(packedScales, group) >> 6) << 4
    }
    let factor = scale * Float(groupScale), minimum = minimumScale * Float(groupMinimum)
    let values = block &+ 16 &+ 32 &* UInt64(group / 2)
    for index in 0..<32 {
      let packed = byte(values, index)
      let value = group & 1 == 0 ? packed & 15 : packed >> 4
      store(pointer, group &* 32 &+ index, factor * Float(value) - minimum)
    }
  }
}

/// | 128 bytes: low nibbles | 64 bytes: two upper bits | 16 signed scales | d |: d · scale[group of 16] · (q - 32).
///
/// Each half of 128 weights takes 64 bytes of nibbles and 32 of upper bits: weight 32 k + i has nibble k / 2 of byte
/// 32 (k & 1) + i and bits 2k, 2k + 1 of upper byte i.
private func dequantiseQ6K(_ type: ElementType, _ block: UInt64, _ pointer: UnsafeMutableRawPointer) {
  let scale = half(block &+ 208)
  for part in 0..<2 {
    let nibbles = block &+ 64 &* UInt64(part), uppers = block &+ 128 &+ 32 &* UInt64(part)
    for k in 0..<4 {
      for index in 0..<32 {
        let packed = byte(nibbles, 32 &* (k & 1) &+ index)
        let low = k < 2 ? packed & 15 : packed >> 4
        let upper = (byte(uppers, index) >> Int32(2 &* k)) & 3
        let element = part &* 128 &+ k &* 32 &+ index
        let groupScale = Int8(truncatingIfNeeded: byte(block &+ 192, element / 16))
        store(pointer, element, scale * Float(groupScale) * Float((low | upper << 4) &- 32))
      }
    }
  }
}
