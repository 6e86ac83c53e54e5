import BinaryReading
import Testing
import _TestSupport

@Suite struct LEB128Tests {
  private func unsigned(_ bytes: [UInt8], _ bitCount: Int) -> Result<UInt64, BinaryReadingError> {
    var reader = BinaryReader(bytes.span)
    do { return .success(try reader.readUnsignedLEB128(bitCount: bitCount)) } catch { return .failure(error) }
  }

  private func signed(_ bytes: [UInt8], _ bitCount: Int) -> Result<Int64, BinaryReadingError> {
    var reader = BinaryReader(bytes.span)
    do { return .success(try reader.readSignedLEB128(bitCount: bitCount)) } catch { return .failure(error) }
  }

  @Test func `unsigned integers reach their maximum and not one bit further`() {
    #expect(unsigned([0x00], 32) == .success(0))
    #expect(unsigned([0x7F], 32) == .success(127))
    #expect(unsigned([0x80, 0x01], 32) == .success(128))
    #expect(unsigned([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 32) == .success(UInt64(UInt32.max)))
    #expect(unsigned([0xFF, 0xFF, 0xFF, 0xFF, 0x1F], 32) == .failure(.init(.integerTooLarge, at: 0)))
    #expect(unsigned([0x80, 0x80, 0x80, 0x80, 0x10], 32) == .failure(.init(.integerTooLarge, at: 0)))
    #expect(unsigned(Array(repeating: 0xFF, count: 9) + [0x01], 64) == .success(.max))
    #expect(unsigned(Array(repeating: 0xFF, count: 9) + [0x02], 64) == .failure(.init(.integerTooLarge, at: 0)))
  }

  @Test func `padding is allowed up to the width and not one byte further`() {
    #expect(unsigned([0x85, 0x80, 0x80, 0x80, 0x00], 32) == .success(5))
    #expect(unsigned([0x85, 0x80, 0x80, 0x80, 0x80, 0x00], 32) == .failure(.init(.integerRepresentationTooLong, at: 0)))
    #expect(signed([0xFE, 0xFF, 0xFF, 0xFF, 0x7F], 32) == .success(-2))
    #expect(signed([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], 32) == .failure(.init(.integerRepresentationTooLong, at: 0)))
  }

  @Test func `signed integers reach their bounds, and the spare bits must repeat the sign`() {
    #expect(signed([0x40], 32) == .success(-64))
    #expect(signed([0x3F], 32) == .success(63))
    #expect(signed([0xFF, 0xFF, 0xFF, 0xFF, 0x07], 32) == .success(Int64(Int32.max)))
    #expect(signed([0x80, 0x80, 0x80, 0x80, 0x78], 32) == .success(Int64(Int32.min)))
    #expect(signed([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 32) == .failure(.init(.integerTooLarge, at: 0)))
    #expect(signed([0x80, 0x80, 0x80, 0x80, 0x70], 32) == .failure(.init(.integerTooLarge, at: 0)))
    #expect(signed([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 33) == .success(Int64(UInt32.max)))
    #expect(signed(Array(repeating: 0x80, count: 9) + [0x7F], 64) == .success(.min))
    #expect(signed(Array(repeating: 0xFF, count: 9) + [0x00], 64) == .success(.max))
    #expect(signed(Array(repeating: 0x80, count: 9) + [0x7E], 64) == .failure(.init(.integerTooLarge, at: 0)))
  }

  @Test func `an integer cut off is an unexpected end`() {
    #expect(unsigned([], 32) == .failure(.init(.unexpectedEnd, at: 0)))
    #expect(unsigned([0x80], 32) == .failure(.init(.unexpectedEnd, at: 1)))
    #expect(signed([0xFF, 0xFF], 64) == .failure(.init(.unexpectedEnd, at: 2)))
  }

  @Test func `a failed read leaves the cursor at the start of the integer`() {
    let bytes: [UInt8] = [0x01, 0x80, 0x80]
    var reader = BinaryReader(bytes.span)
    _ = try? reader.readUInt32LEB128()
    _ = try? reader.readUInt32LEB128()
    let offset = reader.offset
    #expect(offset == 1)
  }

  @Test func `random integers come back whatever their padding`() {
    let seed = UInt64.random(in: 0 ... .max)
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let value = generator.next() >> UInt64.random(in: 0..<64, using: &generator)
      var bytes: [UInt8] = []
      var rest = value
      repeat {
        bytes.append(UInt8(rest & 0x7F) | 0x80)
        rest >>= 7
      } while rest != 0
      while bytes.count < 10, Bool.random(using: &generator) { bytes.append(0x80) }
      bytes[bytes.count - 1] &= 0x7F
      #expect(unsigned(bytes, 64) == .success(value), "seed \(seed)")
    }
  }
}
