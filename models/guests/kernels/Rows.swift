import GuestImports

// Operations on whole rows: gather, norms, softmax, the greatest k.

@_expose(wasm, "get_rows")
@_cdecl("get_rows")
public func get_rows(
  _ out: UInt64, _ w: UInt64, _ type: Int32, _ ids: UInt64, _ rows: Int32, _ columns: Int32, _ rowCountMax: Int32
) {
  let columnCount = count(columns)
  let type = ElementType.checked(type, columnCount: columnCount)
  let rowByteCount = type.rowByteCount(columnCount)
  let workspace = Workspace.reserve(4 * (columnCount + 4))
  for row in 0..<count(rows) {
    let id = scratch_i32_load(ids &+ 4 &* UInt64(row))
    guard id >= 0, id < rowCountMax else { misuse("get_rows: no row with the number", id) }
    dequantise(type, w &+ UInt64(id) &* rowByteCount, count: columnCount, to: workspace)
    copyToScratch(workspace, count: columnCount, to: out &+ 4 &* UInt64(row * columnCount))
  }
}

func copyToScratch(_ pointer: UnsafeRawPointer, count: Int, to address: UInt64) {
  var pointer = pointer, address = address
  for _ in 0..<count / 4 {
    scratch_store(address, 0, floats(pointer, 0))
    pointer += 16
    address &+= 16
  }
  for index in 0..<count % 4 {
    scratch_f32_store(address &+ 4 &* UInt64(index), pointer.load(fromByteOffset: 4 &* index, as: Float.self))
  }
}

/// The elements of a row that a vector at `index` covers: all four, or fewer at the end of the row.
@inline(__always)
private func loadPart(_ address: UInt64, _ index: Int, _ count: Int, _ filler: Float) -> SIMD4<Float> {
  if index &+ 4 <= count { return scratch_load(address &+ 4 &* UInt64(index), 0) }
  var part = SIMD4<Float>(repeating: filler)
  for lane in 0..<count &- index { part[lane] = scratch_f32_load(address &+ 4 &* UInt64(index &+ lane)) }
  return part
}

@inline(__always)
private func storePart(_ address: UInt64, _ index: Int, _ count: Int, _ value: SIMD4<Float>) {
  if index &+ 4 <= count { return scratch_store(address &+ 4 &* UInt64(index), 0, value) }
  for lane in 0..<count &- index { scratch_f32_store(address &+ 4 &* UInt64(index &+ lane), value[lane]) }
}

@_expose(wasm, "rms_norm")
@_cdecl("rms_norm")
public func rms_norm(
  _ out: UInt64, _ x: UInt64, _ weight: UInt64, _ type: Int32, _ rows: Int32, _ columns: Int32, _ epsilon: Float
) {
  let columnCount = count(columns)
  let type = ElementType.checked(type, columnCount: columnCount)
  let weights = Workspace.reserve(4 * (columnCount + 4))
  dequantise(type, weight, count: columnCount, to: weights)
  for row in 0..<count(rows) {
    let offset = 4 &* UInt64(row * columnCount)
    let input = x &+ offset, output = out &+ offset
    var squares = SIMD4<Float>()
    for index in stride(from: 0, to: columnCount, by: 4) {
      let part = loadPart(input, index, columnCount, 0)
      squares = f32x4_madd(part, part, squares)
    }
    let factor = SIMD4<Float>(repeating: 1 / (laneSum(squares) / Float(columnCount) + epsilon).squareRoot())
    for index in stride(from: 0, to: columnCount, by: 4) {
      storePart(output, index, columnCount, loadPart(input, index, columnCount, 0) * factor * floats(weights + 4 &* index, 0))
    }
  }
}

@_expose(wasm, "layer_norm")
@_cdecl("layer_norm")
public func layer_norm(
  _ out: UInt64, _ x: UInt64, _ weight: UInt64, _ bias: UInt64, _ type: Int32, _ rows: Int32, _ columns: Int32,
  _ epsilon: Float
) {
  let columnCount = count(columns)
  let type = ElementType.checked(type, columnCount: columnCount)
  let weights = Workspace.reserve(8 * (columnCount + 4))
  let biases = weights + (columnCount + 3) / 4 * 16
  dequantise(type, weight, count: columnCount, to: weights)
  dequantise(type, bias, count: columnCount, to: biases)
  for row in 0..<count(rows) {
    let offset = 4 &* UInt64(row * columnCount)
    let input = x &+ offset, output = out &+ offset
    var sum = SIMD4<Float>()
    for index in stride(from: 0, to: columnCount, by: 4) { sum += loadPart(input, index, columnCount, 0) }
    let mean = laneSum(sum) / Float(columnCount)
    let means = SIMD4<Float>(repeating: mean)
    var squares = SIMD4<Float>()
    for index in stride(from: 0, to: columnCount, by: 4) {
      let part = loadPart(input, index, columnCount, mean) - means
      squares = f32x4_madd(part, part, squares)
    }
    let factor = SIMD4<Float>(repeating: 1 / (laneSum(squares) / Float(columnCount) + epsilon).squareRoot())
    for index in stride(from: 0, to: columnCount, by: 4) {
      let part = (loadPart(input, index, columnCount, 0) - means) * factor
      storePart(output, index, columnCount, part * floats(weights + 4 &* index, 0) + floats(biases + 4 &* index, 0))
    }
  }
}

@_expose(wasm, "add_bias")
@_cdecl("add_bias")
public func add_bias(_ out: UInt64, _ x: UInt64, _ bias: UInt64, _ type: Int32, _ rows: Int32, _ columns: Int32) {
  let columnCount = count(columns)
  let type = ElementType.checked(type, columnCount: columnCount)
  let biases = Workspace.reserve(4 * (columnCount + 4))
  dequantise(type, bias, count: columnCount, to: biases)
  for row in 0..<count(rows) {
    let offset = 4 &* UInt64(row * columnCount)
    for index in stride(from: 0, to: columnCount, by: 4) {
      storePart(out &+ offset, index, columnCount, loadPart(x &+ offset, index, columnCount, 0) + floats(biases + 4 &* index, 0))
    }
  }
}

@_expose(wasm, "softmax")
@_cdecl("softmax")
public func softmax(_ out: UInt64, _ x: UInt64, _ rows: Int32, _ columns: Int32) {
  let columnCount = count(columns)
  for row in 0..<count(rows) {
    let offset = 4 &* UInt64(row * columnCount)
    let input = x &+ offset, output = out &+ offset
    var greatest = SIMD4<Float>(repeating: -Float.infinity)
    for index in stride(from: 0, to: columnCount, by: 4) {
      greatest = f32x4_max(greatest, loadPart(input, index, columnCount, -Float.infinity))
    }
    let shift = SIMD4<Float>(repeating: maximum(greatest))
    var sum = SIMD4<Float>()
    for index in stride(from: 0, to: columnCount, by: 4) {
      let part = exponential(loadPart(input, index, columnCount, -Float.infinity) - shift)
      sum += part
      storePart(output, index, columnCount, part)
    }
    let factor = SIMD4<Float>(repeating: 1 / laneSum(sum))
    for index in stride(from: 0, to: columnCount, by: 4) {
      storePart(output, index, columnCount, loadPart(output, index, columnCount, 0) * factor)
    }
  }
}

@_expose(wasm, "top_k")
@_cdecl("top_k")
public func top_k(_ values: UInt64, _ ids: UInt64, _ x: UInt64, _ rows: Int32, _ columns: Int32, _ k: Int32) {
  let columnCount = count(columns), k = count(k)
  guard k <= columnCount else { misuse("top_k: more asked for than there are columns:", Int32(k)) }
  guard k > 0 else { return }
  for row in 0..<count(rows) {
    let input = x &+ 4 &* UInt64(row * columnCount)
    let rowOffset = 4 &* UInt64(row * k)
    // A sorted list in place: most elements are not greater than its last.
    var found = 0
    var last = -Float.infinity
    for column in 0..<columnCount {
      let read = scratch_f32_load(input &+ 4 &* UInt64(column))
      let value = read.isNaN ? -Float.infinity : read
      if found == k && !(value > last) { continue }
      var slot = found < k ? found : k &- 1
      while slot > 0 {
        let before = rowOffset &+ 4 &* UInt64(slot &- 1)
        let other = scratch_f32_load(values &+ before)
        if !(value > other) { break }
        scratch_f32_store(values &+ before &+ 4, other)
        scratch_i32_store(ids &+ before &+ 4, scratch_i32_load(ids &+ before))
        slot &-= 1
      }
      scratch_f32_store(values &+ rowOffset &+ 4 &* UInt64(slot), value)
      scratch_i32_store(ids &+ rowOffset &+ 4 &* UInt64(slot), Int32(column))
      if found < k { found &+= 1 }
      last = scratch_f32_load(values &+ rowOffset &+ 4 &* UInt64(found &- 1))
    }
  }
}
