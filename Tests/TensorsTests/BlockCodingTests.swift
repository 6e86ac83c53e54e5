import Tensors
import Testing
import _TestSupport

@Suite struct BlockCodingTests {
  @Test func `blocks decode to the same bits as in ggml`() throws {
    for block in try BlockFixture.load().blocks {
      let type = try #require(ElementType(rawValue: block.type))
      let decoded = try BlockDecoding.decode(block.encoded, elementCount: block.decoded.count, as: type)
      // -0 and 0 are the same value; which of them a zero scale gives depends on the compiler's choice of fused operations.
      #expect(decoded == block.decoded.map { Float(bitPattern: $0) }, "\(type.name)")
    }
  }

  @Test func `simple types encode to the same bytes as in ggml`() throws {
    for block in try BlockFixture.load().blocks {
      let type = try #require(ElementType(rawValue: block.type))
      guard [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0].contains(type) else { continue }
      let encoded = try BlockEncoding.encode(block.values.map { Float(bitPattern: $0) }, as: type)
      #expect(encoded == block.encoded, "\(type.name)")
    }
  }

  /// The bound of each type: the squared rounding error of a normally distributed row, with a margin of a half.
  @Test(arguments: [
    (ElementType.f32, 0.0), (.f16, 1e-7), (.bf16, 1e-5), (.q8_0, 5e-5), (.q6_K, 1e-3), (.q5_1, 2e-3), (.q5_0, 3e-3),
    (.q4_1, 8e-3), (.q4_K, 9e-3), (.q4_0, 1.2e-2),
  ])
  func `encoding then decoding stays near`(type: ElementType, bound: Double) throws {
    var generator = SeededGenerator(seed: 7)
    let values = (0..<4096).map { _ in normal(using: &generator) }
    let decoded = try BlockDecoding.decode(BlockEncoding.encode(values, as: type), elementCount: 4096, as: type)
    let error = KernelTolerance.normalizedSquaredError(of: decoded, against: values)
    #expect(error <= bound, "\(type.name): \(error)")
    // The bound is a bound of this type, not of a coarser one.
    if bound > 0 { #expect(error > bound / 20, "\(type.name): \(error)") }
  }

  @Test(arguments: BlockEncoding.elementTypes)
  func `a row of zeros stays a row of zeros`(type: ElementType) throws {
    let zeros = [Float](repeating: 0, count: 256)
    #expect(try BlockDecoding.decode(BlockEncoding.encode(zeros, as: type), elementCount: 256, as: type) == zeros)
  }

  @Test func `what cannot be decoded is said`() {
    #expect(throws: KernelError.unsupportedElementType(.iq2_XXS)) {
      try BlockDecoding.decode([UInt8](repeating: 0, count: 66), elementCount: 256, as: .iq2_XXS)
    }
    #expect(throws: KernelError.shapeMismatch("33 elements are no whole number of Q8_0 blocks")) {
      try BlockDecoding.decode([], elementCount: 33, as: .q8_0)
    }
    #expect(throws: KernelError.shapeMismatch("34 bytes at 1 expected, the operand has 34")) {
      try BlockDecoding.decode([UInt8](repeating: 0, count: 34), at: 1, elementCount: 32, as: .q8_0)
    }
  }
}

@Suite struct HalfPrecisionTests {
  @Test func `all 65536 halves convert to their value and back`() {
    for bits in UInt16.min...UInt16.max {
      let value = HalfPrecision.float(halfBits: bits)
      if bits & 0x7C00 == 0x7C00 && bits & 0x3FF != 0 {
        #expect(value.isNaN)
        #expect(HalfPrecision.float(halfBits: HalfPrecision.halfBits(value)).isNaN)
      } else if HalfPrecision.halfBits(value) != bits {
        Issue.record("\(bits) is \(value), which is \(HalfPrecision.halfBits(value))")
      }
    }
    #expect(HalfPrecision.float(halfBits: 0x3C00) == 1)
    #expect(HalfPrecision.float(halfBits: 0xC500) == -5)
    #expect(HalfPrecision.float(halfBits: 1) == 0x1p-24)
    #expect(HalfPrecision.float(halfBits: 0x7BFF) == 65504)
    #expect(HalfPrecision.float(halfBits: 0xFC00) == -.infinity)
  }

  @Test func `rounding to half is ggml's: to nearest, ties to even`() throws {
    for pair in try BlockFixture.load().halves {
      #expect(UInt32(HalfPrecision.halfBits(Float(bitPattern: pair[0]))) == pair[1], "\(Float(bitPattern: pair[0]))")
    }
    #expect(HalfPrecision.halfBits(65519.996) == 0x7BFF)
    #expect(HalfPrecision.halfBits(65520) == 0x7C00)
    #expect(HalfPrecision.halfBits(0x1p-25) == 0)
    #expect(HalfPrecision.halfBits(Float(0x1p-25).nextUp) == 1)
    #expect(HalfPrecision.halfBits(0x1.8p-24) == 2)
  }

  @Test func `bfloat16 rounds to nearest, ties to even`() {
    #expect(HalfPrecision.bfloatBits(1) == 0x3F80)
    #expect(HalfPrecision.bfloatBits(Float(bitPattern: 0x3F80_8000)) == 0x3F80)
    #expect(HalfPrecision.bfloatBits(Float(bitPattern: 0x3F81_8000)) == 0x3F82)
    #expect(HalfPrecision.bfloatBits(Float(bitPattern: 0x3F80_8001)) == 0x3F81)
    #expect(HalfPrecision.float(bfloatBits: HalfPrecision.bfloatBits(.nan)).isNaN)
    #expect(HalfPrecision.float(bfloatBits: HalfPrecision.bfloatBits(.infinity)) == .infinity)
  }
}

/// A normally distributed value (sum of twelve uniform ones).
func normal(using generator: inout SeededGenerator) -> Float {
  (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &generator) }
}
