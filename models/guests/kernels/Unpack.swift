import GuestImports

// Blocks of weights to bytes and floats in memory 0, as UnpackedFormat.swift wants them. The layouts of the weights are those of
// ggml; Dequantise.swift says them, and gives the weights themselves. Scales and minima are owed the factor 2¹¹² of
// `HalfPrecision`.

@inline(__always)
private func store(_ bytes: SIMD16<Int8>, _ pointer: UnsafeMutableRawPointer, _ offset: Int) {
  pointer.storeBytes(of: bytes, toByteOffset: offset, as: SIMD16<Int8>.self)
}

@inline(__always)
private func store(_ first: Float, _ second: Float, _ pointer: UnsafeMutableRawPointer) {
  pointer.storeBytes(of: first, toByteOffset: 32, as: Float.self)
  pointer.storeBytes(of: second, toByteOffset: 36, as: Float.self)
}

/// Lane i of the floats goes to `offset` of block i behind the pointer.
@inline(__always)
private func scatter(_ floats: SIMD4<Float>, _ pointer: UnsafeMutableRawPointer, _ offset: Int) {
  pointer.storeBytes(of: floats[0], toByteOffset: offset, as: Float.self)
  pointer.storeBytes(of: floats[1], toByteOffset: offset &+ 48, as: Float.self)
  pointer.storeBytes(of: floats[2], toByteOffset: offset &+ 96, as: Float.self)
  pointer.storeBytes(of: floats[3], toByteOffset: offset &+ 144, as: Float.self)
}

// MARK: Five bits

/// 16 bytes of nibbles and the 32 fifth bits, which are in every lane.
@inline(__always)
private func storeFiveBits(_ nibbles: SIMD16<Int8>, _ fifths: SIMD16<Int8>, _ pointer: UnsafeMutableRawPointer) {
  let sixteen = i8x16_splat(16)
  store(nibbles & i8x16_splat(15) | i8x16_bits_set(i8x16_first_two_bytes(fifths)) & sixteen, pointer, 0)
  store(i8x16_shift_right_unsigned(nibbles, 4) | i8x16_bits_set(i8x16_last_two_bytes(fifths)) & sixteen, pointer, 16)
}

func unpackQ5_0(_ address: UInt64, _ blockCount: Int, _ pointer: UnsafeMutableRawPointer) {
  var address = address, pointer = pointer
  for _ in 0..<blockCount {
    storeFiveBits(weights_load(address, 6), weights_load32_splat(address, 2), pointer)
    let scale = HalfPrecision.scaled(weights_i32_load16_u(address))
    store(scale, -16 * scale, pointer)
    address &+= 22
    pointer += 48
  }
}

func unpackQ5_1(_ address: UInt64, _ blockCount: Int, _ pointer: UnsafeMutableRawPointer) {
  var address = address, pointer = pointer
  for _ in 0..<blockCount {
    storeFiveBits(weights_load(address, 8), weights_load32_splat(address, 4), pointer)
    let factors = weights_i32_load(address)
    store(HalfPrecision.scaled(factors & 0xffff), HalfPrecision.scaled(factors >> 16), pointer)
    address &+= 24
    pointer += 48
  }
}

// MARK: 256 weights at once

/// - Parameter blockCount: a multiple of eight.
func unpackQ4_K(_ address: UInt64, _ blockCount: Int, _ pointer: UnsafeMutableRawPointer) {
  var address = address, pointer = pointer
  for _ in 0..<blockCount / 8 {
    // Lanes: the factors, then A, B, C of four bytes. Of groups 0...3: scales A & 63, minima B & 63. Of groups 4...7: scales
    // C & 15 and minima C >> 4, each with the two upper bits of A and B as bits 4 and 5.
    let header = weights_load(address, 0)
    let parts = i32x4_header_parts(header, i8x16_shift_right_unsigned(header, 4))
    let uppers = i8x16_shift_right_unsigned(i32x4_header_uppers(header), 2)
    let sixes = parts & i8x16_from_i32x4(SIMD4(0x3f3f_3f3f, 0x3f3f_3f3f, 0x0f0f_0f0f, 0x0f0f_0f0f))
      | uppers & i8x16_from_i32x4(SIMD4(0, 0, 0x3030_3030, 0x3030_3030))
    let factors = UInt32(bitPattern: i32x4_from_i8x16(header)[0])
    let scale = SIMD4(repeating: HalfPrecision.scaled(factors & 0xffff))
    let minimumScale = SIMD4(repeating: -HalfPrecision.scaled(factors >> 16))
    let low = i16x8_extend_low_unsigned(sixes), high = i16x8_extend_high_unsigned(sixes)
    scatter(f32x4_convert(i32x4_extend_low(low)) * scale, pointer, 32)
    scatter(f32x4_convert(i32x4_extend_high(low)) * minimumScale, pointer, 36)
    scatter(f32x4_convert(i32x4_extend_low(high)) * scale, pointer + 192, 32)
    scatter(f32x4_convert(i32x4_extend_high(high)) * minimumScale, pointer + 192, 36)

    let mask = i8x16_splat(15)
    for _ in 0..<4 {
      let a = weights_load(address, 16), b = weights_load(address, 32)
      store(a & mask, pointer, 0)
      store(b & mask, pointer, 16)
      store(i8x16_shift_right_unsigned(a, 4), pointer, 48)
      store(i8x16_shift_right_unsigned(b, 4), pointer, 64)
      address &+= 32
      pointer += 96
    }
    address &+= 16
  }
}

/// - Parameter blockCount: a multiple of eight.
func unpackQ6_K(_ address: UInt64, _ blockCount: Int, _ pointer: UnsafeMutableRawPointer) {
  var address = address, pointer = pointer
  let mask = i8x16_splat(15), upperMask = i8x16_splat(0x30)
  for _ in 0..<blockCount / 8 {
    let scales = weights_load(address &+ 192, 0)
    let scale = SIMD4(repeating: HalfPrecision.scaled(weights_i32_load16_u(address &+ 208)))
    let low = i16x8_extend_low(scales), high = i16x8_extend_high(scales)
    storePairs(f32x4_convert(i32x4_extend_low(low)) * scale, pointer)
    storePairs(f32x4_convert(i32x4_extend_high(low)) * scale, pointer + 96)
    storePairs(f32x4_convert(i32x4_extend_low(high)) * scale, pointer + 192)
    storePairs(f32x4_convert(i32x4_extend_high(high)) * scale, pointer + 288)

    // Weight 32 k + i of a half has nibble k / 2 of byte 32 (k & 1) + i, and bits 2 k, 2 k + 1 of upper byte i.
    var uppers = address &+ 128
    for _ in 0..<2 {
      let n0 = weights_load(address, 0), n1 = weights_load(address, 16)
      let n2 = weights_load(address, 32), n3 = weights_load(address, 48)
      let u0 = weights_load(uppers, 0), u1 = weights_load(uppers, 16)
      store(n0 & mask | i8x16_shift_left(u0, 4) & upperMask, pointer, 0)
      store(n1 & mask | i8x16_shift_left(u1, 4) & upperMask, pointer, 16)
      store(n2 & mask | i8x16_shift_left(u0, 2) & upperMask, pointer, 48)
      store(n3 & mask | i8x16_shift_left(u1, 2) & upperMask, pointer, 64)
      store(i8x16_shift_right_unsigned(n0, 4) | u0 & upperMask, pointer, 96)
      store(i8x16_shift_right_unsigned(n1, 4) | u1 & upperMask, pointer, 112)
      store(i8x16_shift_right_unsigned(n2, 4) | i8x16_shift_right_unsigned(u0, 2) & upperMask, pointer, 144)
      store(i8x16_shift_right_unsigned(n3, 4) | i8x16_shift_right_unsigned(u1, 2) & upperMask, pointer, 160)
      address &+= 64
      uppers &+= 32
      pointer += 192
    }
    address &+= 82
  }
}

/// Lanes 0 and 1 are the floats of the block at the pointer, 2 and 3 those of the next.
@inline(__always)
private func storePairs(_ floats: SIMD4<Float>, _ pointer: UnsafeMutableRawPointer) {
  store(floats[0], floats[1], pointer)
  store(floats[2], floats[3], pointer + 48)
}
