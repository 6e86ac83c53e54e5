import Tensors
import Testing
import _TestSupport

@Suite struct ElementTypeTests {
  @Test func `sizes and names are those of ggml`() throws {
    let fixture = try BlockFixture.load()
    #expect(fixture.sizes.count == ElementType.allCases.count { ElementType(ggmlNumber: $0.rawValue) != nil })
    for size in fixture.sizes {
      let type = try #require(ElementType(rawValue: size.number), "type \(size.number)")
      #expect(type.name == size.name.uppercased())
      #expect(ElementType(name: size.name) == type)
      #expect(type.blockElementCount == size.block_element_count, "\(type.name)")
      #expect(type.blockByteCount == size.block_byte_count, "\(type.name)")
    }
  }

  @Test(arguments: [4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, UInt32.max])
  func `a number that ggml has withdrawn or never given is no type`(number: UInt32) {
    #expect(ElementType(rawValue: number) == nil)
  }

  @Test func `types that only safetensors files have are no types of ggml`() {
    #expect(ElementType(ggmlNumber: 0x1000) == nil && ElementType(rawValue: 0x1000) == .bool)
    #expect(ElementType(name: "f8_e4m3") == .f8_E4M3 && ElementType.c64.blockByteCount == 8)
  }

  @Test func `a row must be whole blocks and its bytes fit an Int`() {
    #expect(ElementType.q4_1.rowByteCount(elementCount: 64) == 40)
    #expect(ElementType.q4_1.rowByteCount(elementCount: 0) == 0)
    #expect(ElementType.q4_1.rowByteCount(elementCount: 63) == nil)
    #expect(ElementType.q4_K.rowByteCount(elementCount: 128) == nil)
    #expect(ElementType.f32.rowByteCount(elementCount: -1) == nil)
    #expect(ElementType.f64.rowByteCount(elementCount: Int.max / 8) == Int.max / 8 * 8)
    #expect(ElementType.f64.rowByteCount(elementCount: Int.max / 8 + 1) == nil)
  }
}

@Suite struct TensorShapeTests {
  @Test func `counts of a matrix, a scalar and an empty tensor`() throws {
    let matrix = try #require(TensorShape([49152, 576]))
    #expect(matrix.elementCount == 49152 * 576)
    #expect(matrix.rowCount == 49152 && matrix.rowElementCount == 576)
    #expect(matrix.byteCount(of: .q8_0) == 49152 * 576 / 32 * 34)
    #expect(matrix.byteCount(of: .q4_K) == nil)
    #expect(matrix.description == "[49152, 576]")
    let scalar = try #require(TensorShape([Int]()))
    #expect(scalar.elementCount == 1 && scalar.rowElementCount == 1 && scalar.rowCount == 1)
    let empty = try #require(TensorShape([3, 0]))
    #expect(empty.elementCount == 0 && empty.byteCount(of: .q4_0) == 0)
  }

  @Test func `dimensions that overflow are refused, also beside a zero`() {
    #expect(TensorShape([UInt64.max]) == nil)
    #expect(TensorShape([-1]) == nil)
    #expect(TensorShape([1 << 32, 1 << 31]) == nil)
    #expect(TensorShape([1 << 32, (1 << 31) - 1]) != nil)
    #expect(TensorShape([0, 1 << 32, 1 << 32]) == nil)
    #expect(TensorShape([1 << 62])?.byteCount(of: .f32) == nil)
  }
}
