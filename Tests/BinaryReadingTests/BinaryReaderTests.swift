import BinaryReading
import Testing
import _TestSupport

@Suite struct BinaryReaderTests {
  @Test func `integers of fixed width are little-endian and need no alignment`() throws {
    let bytes: [UInt8] = [0xFF, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E]
    var reader = BinaryReader(bytes.span)
    #expect(try reader.readByte() == 0xFF)
    #expect(try reader.readUInt16() == 0x0201)
    #expect(try reader.readUInt32() == 0x0605_0403)
    #expect(try reader.readUInt64() == 0x0E0D_0C0B_0A09_0807)
    let isAtEnd = reader.isAtEnd
    #expect(isAtEnd)
  }

  @Test func `floats keep their bits`() throws {
    let bytes: [UInt8] = [0x01, 0x00, 0xA0, 0x7F] + [0, 0, 0, 0, 0, 0, 0xF8, 0xBF]
    var reader = BinaryReader(bytes.span)
    #expect(try reader.readFloat().bitPattern == 0x7FA0_0001)
    #expect(try reader.readDouble() == -1.5)
  }

  @Test func `a read past the end fails at its first byte and moves nothing`() throws {
    let bytes: [UInt8] = [1, 2, 3]
    var reader = BinaryReader(bytes.span)
    _ = try reader.readByte()
    for _ in 0..<2 {
      var error: BinaryReadingError?
      do { _ = try reader.readUInt32() } catch let caught { error = caught }
      #expect(error == BinaryReadingError(.unexpectedEnd, at: 1))
      let offset = reader.offset
      #expect(offset == 1)
    }
    #expect(try reader.readUInt16() == 0x0302)
    var error: BinaryReadingError?
    do { _ = try reader.readByte() } catch let caught { error = caught }
    #expect(error == BinaryReadingError(.unexpectedEnd, at: 3))
  }

  @Test func `an empty reader is at its end`() {
    let bytes: [UInt8] = []
    let reader = BinaryReader(bytes.span)
    let (isAtEnd, next) = (reader.isAtEnd, reader.peekByte())
    #expect(isAtEnd && next == nil)
  }

  @Test func `a limit hides what lies behind it, and offsets go on counting from the start`() throws {
    let bytes: [UInt8] = [1, 2, 3, 4, 5]
    var reader = BinaryReader(bytes.span, range: 1..<5)
    let outer = reader.limit(toEnd: 3)
    #expect(try reader.readUInt16() == 0x0302)
    var error: BinaryReadingError?
    do { _ = try reader.readByte() } catch let caught { error = caught }
    #expect(error == BinaryReadingError(.unexpectedEnd, at: 3))
    _ = reader.limit(toEnd: outer)
    #expect(try reader.readByte() == 4)
    reader.seek(to: 0)
    #expect(try reader.readByte() == 1)
  }

  @Test func `a length that exceeds the bytes is refused, also one that overflows`() {
    let bytes: [UInt8] = [1, 2, 3]
    for byteCount in [4, Int.max, -1] {
      var reader = BinaryReader(bytes.span)
      _ = try? reader.readByte()
      var error: BinaryReadingError?
      do { _ = try reader.skip(byteCount: byteCount) } catch let caught { error = caught }
      #expect(error == BinaryReadingError(.unexpectedEnd, at: 1))
    }
  }

  @Test func `bytes and strings are copied out`() throws {
    let bytes: [UInt8] = [7, 8] + Array("aé☃😀".utf8)
    var reader = BinaryReader(bytes.span)
    #expect(try reader.readBytes(byteCount: 2) == [7, 8])
    #expect(try reader.readUTF8(byteCount: 10) == "aé☃😀")
  }

  @Test(arguments: [
    [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
    [0xF4, 0x90, 0x80, 0x80],
    [0xF5, 0x80, 0x80, 0x80], [0xC2], [0xE2, 0x98], [0xFF], [0x61, 0xFE],
  ] as [[UInt8]])
  func `malformed UTF-8 is an error at the start of the string`(text: [UInt8]) {
    let bytes = [0x20] + text
    var reader = BinaryReader(bytes.span)
    _ = try? reader.readByte()
    var error: BinaryReadingError?
    do { _ = try reader.readUTF8(byteCount: text.count) } catch let caught { error = caught }
    #expect(error == BinaryReadingError(.malformedUTF8, at: 1))
  }
}
