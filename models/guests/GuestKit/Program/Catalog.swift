/// The host's description of the bound weight files: scalars of their metadata, and every tensor.
///
///     u32 'BNDC' | u32 version = 1 | u32 metadata count | u32 tensor count
///     metadata:  u32 key length, key | u8 kind: 0 bool, 1 i64, 2 f64, 3 string | 8 bytes, or u32 length and bytes
///     tensors:   u32 name length, name | u32 type | u32 rank | u64 dimensions[rank] | u64 address | u64 byte count
///
/// Little-endian, unaligned. Arrays of the metadata are left out; the element count of an array `K` is the integer `K.count`.
/// Dimensions are row-major: a matrix is [out, in]. Everything is checked against the end of the catalog before it is read.
struct Catalog {
  private struct Value {
    var key: Range<Int>, kind: UInt8, bits: UInt64, text: Range<Int>
  }
  private struct Tensor {
    var name: Range<Int>, type: Int32, rank: Int, dimensionsAt: Int, address: UInt64, byteCount: UInt64
    var isUsed = false
  }

  private let bytes: UnsafeRawBufferPointer
  private var values: [Value] = []
  private var tensors: [Tensor] = []
  /// Where the next search begins: programs ask for tensors about in the order of the file.
  private var nextTensor = 0

  /// - Parameter bytes: stays valid as long as the catalog is used.
  init(_ bytes: UnsafeRawBufferPointer) throws(ProgramError) {
    self.bytes = bytes
    var reader = Reader(bytes: bytes)
    guard try reader.integer32() == 0x4344_4e42, try reader.integer32() == 1 else {
      throw ProgramError { $0.append("catalog: expected 'BNDC' version 1 at its start") }
    }
    let valueCount = try reader.integer32(), tensorCount = try reader.integer32()
    for _ in 0..<valueCount {
      let key = try reader.text()
      let kind = try reader.byte()
      var value = Value(key: key, kind: kind, bits: 0, text: 0..<0)
      switch kind {
      case 0, 1, 2: value.bits = try reader.integer64()
      case 3: value.text = try reader.text()
      default:
        throw ProgramError {
          $0.append("catalog: unknown kind of value ")
          $0.append(Int(kind))
        }
      }
      values.append(value)
    }
    for _ in 0..<tensorCount {
      let name = try reader.text()
      let type = Int32(truncatingIfNeeded: try reader.integer32())
      let rank = try reader.integer32()
      let dimensionsAt = reader.offset
      for _ in 0..<rank { _ = try reader.integer64() }
      tensors.append(
        Tensor(
          name: name, type: type, rank: Int(rank), dimensionsAt: dimensionsAt, address: try reader.integer64(),
          byteCount: try reader.integer64()))
    }
  }

  // MARK: Metadata

  private func value(_ key: StaticString) -> Value? {
    values.first { equals($0.key, key) }
  }

  /// An integer (or bool, as 0 or 1) of the metadata, or nil. One that this machine's integers do not hold is the next that they do.
  func integer(_ key: StaticString) -> Int? {
    guard let value = value(key), value.kind <= 1 else { return nil }
    return Int(clamping: Int64(bitPattern: value.bits))
  }

  /// An integer of the metadata in a range; the default where there is no such key, not where it holds something else.
  func integer(_ key: StaticString, in range: ClosedRange<Int>, default standard: Int? = nil) throws(ProgramError) -> Int {
    let found: Int64
    if let value = value(key) {
      guard value.kind <= 1 else { throw wrongKind("the integer ", key, value) }
      found = Int64(bitPattern: value.bits)
    } else if let standard {
      found = Int64(standard)
    } else {
      throw ProgramError {
        $0.append("metadata: expected the integer ")
        $0.append(key)
        $0.append(", found no such key")
      }
    }
    guard let small = Int(exactly: found), range.contains(small) else {
      throw ProgramError {
        $0.append("metadata: expected ")
        $0.append(key)
        $0.append(" from ")
        $0.append(range.lowerBound)
        $0.append(" to ")
        $0.append(range.upperBound)
        $0.append(", found ")
        if found < 0 { $0.append("-") }
        $0.append(unsigned: found.magnitude)
      }
    }
    return small
  }

  private func wrongKind(_ expected: StaticString, _ key: StaticString, _ value: Value) -> ProgramError {
    ProgramError {
      $0.append("metadata: expected ")
      $0.append(expected)
      $0.append(key)
      $0.append(value.kind == 3 ? ", found a text" : ", found a number that is no integer of 64 bits")
    }
  }

  /// A number of the metadata, or nil.
  func float(_ key: StaticString) -> Float? {
    guard let value = value(key) else { return nil }
    switch value.kind {
    case 1: return Float(Int64(bitPattern: value.bits))
    case 2: return Float(Double(bitPattern: value.bits))
    default: return nil
    }
  }

  /// A finite number above zero of the metadata; the default where there is no such key, not where it holds something else.
  func positiveFloat(_ key: StaticString, default standard: Float? = nil) throws(ProgramError) -> Float {
    guard let value = value(key) else {
      if let standard { return standard }
      throw ProgramError {
        $0.append("metadata: expected the number ")
        $0.append(key)
        $0.append(", found no such key")
      }
    }
    guard value.kind == 1 || value.kind == 2 else {
      throw ProgramError {
        $0.append("metadata: expected the number ")
        $0.append(key)
        $0.append(value.kind == 3 ? ", found a text" : ", found true or false")
      }
    }
    guard let found = float(key), found > 0, found.isFinite else {
      throw ProgramError {
        $0.append("metadata: expected ")
        $0.append(key)
        $0.append(" above zero and finite, found another number")
      }
    }
    return found
  }

  /// Whether a string of the metadata is there, and is this one.
  func string(_ key: StaticString, is text: StaticString) -> Bool? {
    guard let value = value(key), value.kind == 3 else { return nil }
    return equals(value.text, text)
  }

  // MARK: Tensors

  /// The matrix [rows, columns] of this name.
  mutating func matrix(_ name: TensorName, rows: Int, columns: Int) throws(ProgramError) -> WeightMatrix {
    let index = try required(name)
    let found = tensors[index]
    guard found.rank == 2, dimension(found, 0) == UInt64(rows), dimension(found, 1) == UInt64(columns) else {
      throw wrongShape(index, rows, columns)
    }
    let type = try elementType(index, columns: columns)
    try checkByteCount(index, UInt64(rows) * type.rowByteCount(columns))
    return WeightMatrix(address: found.address, type: type, rows: rows, columns: columns)
  }

  /// The matrix [any number of rows, columns] of this name: an embedding, whose rows are the vocabulary.
  mutating func matrix(_ name: TensorName, columns: Int) throws(ProgramError) -> WeightMatrix {
    let index = try required(name)
    let found = tensors[index]
    guard found.rank == 2, let rows = Int(exactly: dimension(found, 0)), rows > 0 else {
      throw wrongShape(index, nil, columns)
    }
    return try matrix(name, rows: rows, columns: columns)
  }

  /// The vector of this name.
  mutating func vector(_ name: TensorName, count: Int) throws(ProgramError) -> WeightVector {
    let index = try required(name)
    let found = tensors[index]
    guard found.rank == 1, dimension(found, 0) == UInt64(count) else { throw wrongShape(index, nil, count) }
    let type = try elementType(index, columns: count)
    try checkByteCount(index, type.rowByteCount(count))
    return WeightVector(address: found.address, type: type, count: count)
  }

  mutating func contains(_ name: TensorName) -> Bool { find(name.text) != nil }

  /// Refuses a file with tensors that the program did not ask for: it would compute another model than the file means.
  func checkAllUsed() throws(ProgramError) {
    for index in tensors.indices where !tensors[index].isUsed {
      throw ProgramError {
        appendName(index, to: &$0)
        $0.append(" is not part of the architecture that this program computes")
      }
    }
  }

  // MARK: Helpers

  private func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count == text.utf8CodeUnitCount else { return false }
    let start = text.utf8Start
    for index in 0..<range.count where bytes[range.lowerBound + index] != start[index] { return false }
    return true
  }

  private mutating func find(_ name: TextBuffer) -> Int? {
    for step in 0..<tensors.count {
      let index = (nextTensor + step) % tensors.count
      let range = tensors[index].name
      guard range.count == name.byteCount else { continue }
      // From the end: names differ there.
      var position = name.byteCount - 1
      while position >= 0, bytes[range.lowerBound + position] == name[position] { position -= 1 }
      if position < 0 {
        nextTensor = index
        return index
      }
    }
    return nil
  }

  private mutating func required(_ name: TensorName) throws(ProgramError) -> Int {
    let text = name.text
    guard let index = find(text) else {
      throw ProgramError {
        $0.append("tensor ")
        $0.append(text)
        $0.append(": expected, not found in the weight file")
      }
    }
    tensors[index].isUsed = true
    return index
  }

  private func dimension(_ tensor: Tensor, _ axis: Int) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: tensor.dimensionsAt + 8 * axis, as: UInt64.self)
  }

  private func elementType(_ index: Int, columns: Int) throws(ProgramError) -> ElementType {
    guard let type = ElementType(rawValue: tensors[index].type) else {
      throw ProgramError {
        appendName(index, to: &$0)
        $0.append(": expected an element type that the kernels know, found the ggml type ")
        $0.append(Int(tensors[index].type))
      }
    }
    guard columns % type.blockElementCount == 0 else {
      throw ProgramError {
        appendName(index, to: &$0)
        $0.append(": expected rows of whole ")
        $0.append(type.name)
        $0.append(" blocks, found rows of ")
        $0.append(columns)
      }
    }
    return type
  }

  private func checkByteCount(_ index: Int, _ expected: UInt64) throws(ProgramError) {
    let found = tensors[index].byteCount
    guard found != expected || tensors[index].address.addingReportingOverflow(found).overflow else { return }
    throw ProgramError {
      appendName(index, to: &$0)
      $0.append(": expected ")
      $0.append(unsigned: expected)
      $0.append(" bytes, found ")
      $0.append(unsigned: found)
    }
  }

  private func appendName(_ index: Int, to text: inout TextBuffer) {
    text.append("tensor ")
    for position in tensors[index].name { text.append(byte: bytes[position]) }
  }

  private func wrongShape(_ index: Int, _ rows: Int?, _ columns: Int) -> ProgramError {
    ProgramError {
      appendName(index, to: &$0)
      $0.append(": expected the shape [")
      if let rows {
        $0.append(rows)
        $0.append(", ")
      }
      $0.append(columns)
      $0.append("], found [")
      for axis in 0..<min(tensors[index].rank, 4) {
        if axis > 0 { $0.append(", ") }
        $0.append(unsigned: dimension(tensors[index], axis))
      }
      $0.append("]")
    }
  }
}

/// The name of a tensor: "blk.3.attn_q.weight" is block 3, "attn_q.weight".
struct TensorName {
  var text = TextBuffer()

  init(_ name: StaticString) { text.append(name) }

  init(block: Int, _ name: StaticString) {
    text.append("blk.")
    text.append(block)
    text.append(".")
    text.append(name)
  }
}

/// A weight matrix W[rows, columns] in `weights`; as an operand, x · Wᵀ takes `columns` in and gives `rows` out.
struct WeightMatrix {
  var address: UInt64, type: ElementType, rows: Int, columns: Int
}

/// A weight vector in `weights`.
struct WeightVector {
  var address: UInt64, type: ElementType, count: Int
}

/// A cursor that ends with an error where the catalog ends.
private struct Reader {
  let bytes: UnsafeRawBufferPointer
  var offset = 0

  private mutating func take(_ count: Int) throws(ProgramError) -> Int {
    guard count >= 0, count <= bytes.count - offset else {
      throw ProgramError {
        $0.append("catalog: ends too early, at byte ")
        $0.append(bytes.count)
      }
    }
    defer { offset += count }
    return offset
  }

  mutating func byte() throws(ProgramError) -> UInt8 { bytes[try take(1)] }
  mutating func integer32() throws(ProgramError) -> UInt32 {
    bytes.loadUnaligned(fromByteOffset: try take(4), as: UInt32.self)
  }
  mutating func integer64() throws(ProgramError) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: try take(8), as: UInt64.self)
  }
  mutating func text() throws(ProgramError) -> Range<Int> {
    let count = Int(exactly: try integer32()) ?? -1
    let start = try take(count)
    return start..<start + count
  }
}
