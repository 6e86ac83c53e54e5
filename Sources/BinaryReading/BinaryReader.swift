/// A cursor over bytes that somebody else owns: every read is checked against the end, every error has an offset.
///
///     0 ......... offset ............ end ........ bytes.byteCount
///      already read  |  still readable  |  not to be read
///
/// The reader borrows its bytes (it cannot outlive them) and never copies or allocates, except to return strings and arrays. A
/// read that fails leaves `offset` where it was.
public struct BinaryReader: ~Escapable {
  public let bytes: RawSpan
  /// The position of the next byte to be read. Invariant: `0 <= offset <= end <= bytes.byteCount`.
  public private(set) var offset: Int
  /// No byte at or beyond this position is read.
  public private(set) var end: Int

  /// A reader of all `bytes`.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) {
    self.bytes = bytes
    self.offset = 0
    self.end = bytes.byteCount
  }

  /// A reader of `bytes[range]`; offsets are still counted from the start of `bytes`.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan, range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "the range lies within the bytes")
    self.bytes = bytes
    self.offset = range.lowerBound
    self.end = range.upperBound
  }

  /// A reader of all elements of `span`.
  @_lifetime(copy span)
  public init(_ span: Span<UInt8>) {
    // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
    self.init(unsafe span.bytes)
  }

  /// A reader of `span[range]`; offsets are still counted from the start of `span`.
  @_lifetime(copy span)
  public init(_ span: Span<UInt8>, range: Range<Int>) {
    // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
    self.init(unsafe span.bytes, range: range)
  }

  @inline(__always) public var remainingByteCount: Int { end - offset }
  @inline(__always) public var isAtEnd: Bool { offset == end }

  /// Moves the end of what may be read, say to the end of a section. Returns the former end, to be restored afterwards.
  public mutating func limit(toEnd newEnd: Int) -> Int {
    precondition(offset <= newEnd && newEnd <= bytes.byteCount, "the new end lies between the cursor and the last byte")
    defer { end = newEnd }
    return end
  }

  /// Continues at another position of the same bytes.
  public mutating func seek(to newOffset: Int) {
    precondition(0 <= newOffset && newOffset <= end, "the new offset lies before the end")
    offset = newOffset
  }

  /// The next byte, not consumed; nil at the end.
  @inline(__always)
  public func peekByte() -> UInt8? {
    guard offset < end else { return nil }
    // SAFETY: offset < end <= bytes.byteCount, by the guard and the invariant.
    return unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  @inline(__always)
  public mutating func readByte() throws(BinaryReadingError) -> UInt8 {
    guard offset < end else { throw BinaryReadingError(.unexpectedEnd, at: offset) }
    // SAFETY: offset < end <= bytes.byteCount, by the guard and the invariant.
    let byte = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    offset += 1
    return byte
  }

  /// Steps over `byteCount` bytes and returns where they are.
  public mutating func skip(byteCount: Int) throws(BinaryReadingError) -> Range<Int> {
    guard byteCount >= 0, byteCount <= end - offset else { throw BinaryReadingError(.unexpectedEnd, at: offset) }
    defer { offset += byteCount }
    return offset..<offset + byteCount
  }
}

// MARK: - Fixed width, little-endian

extension BinaryReader {
  /// An integer of fixed width, little-endian, unaligned.
  @inline(__always)
  public mutating func readInteger<Integer: FixedWidthInteger & BitwiseCopyable>(
    as type: Integer.Type = Integer.self
  ) throws(BinaryReadingError) -> Integer {
    let byteCount = MemoryLayout<Integer>.size
    guard byteCount <= end - offset else { throw BinaryReadingError(.unexpectedEnd, at: offset) }
    // SAFETY: offset + byteCount <= end <= bytes.byteCount, by the guard and the invariant; every bit pattern is an integer.
    let value = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Integer.self)
    offset += byteCount
    return Integer(littleEndian: value)
  }

  public mutating func readUInt16() throws(BinaryReadingError) -> UInt16 { try readInteger() }
  public mutating func readUInt32() throws(BinaryReadingError) -> UInt32 { try readInteger() }
  public mutating func readUInt64() throws(BinaryReadingError) -> UInt64 { try readInteger() }
  public mutating func readFloat() throws(BinaryReadingError) -> Float { Float(bitPattern: try readInteger()) }
  public mutating func readDouble() throws(BinaryReadingError) -> Double { Double(bitPattern: try readInteger()) }

  /// A copy of the next `byteCount` bytes.
  public mutating func readBytes(byteCount: Int) throws(BinaryReadingError) -> [UInt8] {
    let range = try skip(byteCount: byteCount)
    // SAFETY: `skip` checked that the range lies within the bytes.
    return unsafe bytes.withUnsafeBytes { unsafe Array($0[range]) }
  }

  /// The next `byteCount` bytes as strict UTF-8: overlong forms, surrogates and values above U+10FFFF are errors.
  ///
  /// The bytes are copied before they are examined: those of a mapped file may change at any time, and a string of bytes that were
  /// good a moment ago would be no string.
  public mutating func readUTF8(byteCount: Int) throws(BinaryReadingError) -> String {
    let start = offset
    let range = try skip(byteCount: byteCount)
    // SAFETY: `skip` checked that the range lies within the bytes; the buffer has room for as many.
    let (string, isExact) = unsafe bytes.withUnsafeBytes { all in
      let source = unsafe UnsafeRawBufferPointer(rebasing: all[range])
      // Invalid bytes are repaired, and then the string is another one.
      var string = unsafe String(unsafeUninitializedCapacity: source.count) { buffer in
        unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: source)
        return source.count
      }
      let isExact = string.withUTF8 { unsafe $0.count == source.count && $0.elementsEqual(source) }
      return (string, isExact)
    }
    guard isExact else {
      offset = start
      throw BinaryReadingError(.malformedUTF8, at: start)
    }
    return string
  }
}

// MARK: - LEB128

extension BinaryReader {
  /// An unsigned LEB128 integer of at most `bitCount` bits, in at most ceil(bitCount / 7) bytes.
  @inline(__always)
  public mutating func readUnsignedLEB128(bitCount: Int) throws(BinaryReadingError) -> UInt64 {
    let start = offset
    // Nearly every integer of a module is one byte long.
    if let byte = peekByte(), byte < 0x80 {
      offset += 1
      return UInt64(byte)
    }
    do {
      return try readLongUnsignedLEB128(bitCount: bitCount, start: start)
    } catch {
      offset = start
      throw error
    }
  }

  /// A signed LEB128 integer of at most `bitCount` bits, in at most ceil(bitCount / 7) bytes.
  @inline(__always)
  public mutating func readSignedLEB128(bitCount: Int) throws(BinaryReadingError) -> Int64 {
    let start = offset
    if let byte = peekByte(), byte < 0x80 {
      offset += 1
      return Int64(Int8(bitPattern: byte << 1) >> 1)
    }
    do {
      return try readLongSignedLEB128(bitCount: bitCount, start: start)
    } catch {
      offset = start
      throw error
    }
  }

  @inline(__always)
  public mutating func readUInt32LEB128() throws(BinaryReadingError) -> UInt32 {
    UInt32(truncatingIfNeeded: try readUnsignedLEB128(bitCount: 32))
  }
  @inline(__always)
  public mutating func readUInt64LEB128() throws(BinaryReadingError) -> UInt64 { try readUnsignedLEB128(bitCount: 64) }
  @inline(__always)
  public mutating func readInt32LEB128() throws(BinaryReadingError) -> Int32 {
    Int32(truncatingIfNeeded: try readSignedLEB128(bitCount: 32))
  }
  @inline(__always)
  public mutating func readInt64LEB128() throws(BinaryReadingError) -> Int64 { try readSignedLEB128(bitCount: 64) }

  private mutating func readLongUnsignedLEB128(bitCount: Int, start: Int) throws(BinaryReadingError) -> UInt64 {
    var result: UInt64 = 0
    var shift = 0
    while true {
      let byte = try readByte()
      let payload = UInt64(byte & 0x7F)
      let bitsLeft = bitCount - shift
      if bitsLeft <= 7 {
        // The last byte that the type allows.
        guard byte & 0x80 == 0 else { throw BinaryReadingError(.integerRepresentationTooLong, at: start) }
        guard payload >> UInt64(bitsLeft) == 0 else { throw BinaryReadingError(.integerTooLarge, at: start) }
        return result | payload << UInt64(shift)
      }
      result |= payload << UInt64(shift)
      if byte & 0x80 == 0 { return result }
      shift += 7
    }
  }

  private mutating func readLongSignedLEB128(bitCount: Int, start: Int) throws(BinaryReadingError) -> Int64 {
    var result: Int64 = 0
    var shift = 0
    while true {
      let byte = try readByte()
      let bitsLeft = bitCount - shift
      // The seven payload bits, sign-extended.
      let payload = Int64(Int8(bitPattern: byte << 1) >> 1)
      if bitsLeft <= 7 {
        guard byte & 0x80 == 0 else { throw BinaryReadingError(.integerRepresentationTooLong, at: start) }
        // The bits beyond the type's width must repeat its sign bit.
        let extensionBits = payload >> Int64(bitsLeft - 1)
        guard extensionBits == 0 || extensionBits == -1 else { throw BinaryReadingError(.integerTooLarge, at: start) }
        return result | payload << Int64(shift)
      }
      if byte & 0x80 == 0 { return result | payload << Int64(shift) }
      result |= Int64(byte & 0x7F) << Int64(shift)
      shift += 7
    }
  }
}
