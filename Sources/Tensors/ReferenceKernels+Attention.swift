/// Where the keys or values of one layer lie in the `cache` memory: chunks of `chunkPositionCount` positions, one plane per
/// layer and kind in each.
///
///     sequence base                       base + chunkByteStride
///     | plane | plane | ... | padding     | plane | plane | ...
///       ^ base + planeOffset: chunkPositionCount rows of `width` elements
public struct CacheLayout: Hashable, Sendable {
  public let chunkPositionCount: Int
  public let chunkByteStride: Int
  /// Elements of one row: key/value heads × head dimension.
  public let width: Int
  /// `f32` or `f16`.
  public let type: ElementType

  public init(chunkPositionCount: Int, chunkByteStride: Int, width: Int, type: ElementType) {
    self.chunkPositionCount = chunkPositionCount
    self.chunkByteStride = chunkByteStride
    self.width = width
    self.type = type
  }

  public var rowByteCount: Int { width * type.blockByteCount }

  /// Address of the row of `position` of the sequence that starts at `base`.
  public func address(base: Int64, planeOffset: Int64, position: Int32) -> Int {
    let (chunk, index) = (Int(position) / chunkPositionCount, Int(position) % chunkPositionCount)
    return Int(base) + chunk * chunkByteStride + Int(planeOffset) + index * rowByteCount
  }
}

extension ReferenceKernels {
  /// Tolerance of `cacheAppend`: rounding to half is to nearest, ties to even.
  public static let cacheAppendTolerance = KernelTolerance.exact

  /// Stores each row at its place in the cache.
  /// - Parameters:
  ///   - cache: the bytes of the `cache` memory from address 0. - x: `[N, width]`. - bases, positions: `[N]`.
  public static func cacheAppend(
    cache: inout [UInt8], x: [Float], bases: [Int64], positions: [Int32], planeOffset: Int64, layout: CacheLayout
  ) throws(KernelError) {
    try requireMatrix(x, "x", rows: positions.count, columns: layout.width)
    try require(bases.count == positions.count, "bases: \(positions.count) expected, found \(bases.count)")
    for row in positions.indices {
      let address = try cacheRow(cache, layout, base: bases[row], planeOffset: planeOffset, position: positions[row])
      let values = Array(x[row * layout.width..<(row + 1) * layout.width])
      cache.replaceSubrange(
        address..<address + layout.rowByteCount, with: try BlockEncoding.encode(values, as: layout.type))
    }
  }

  /// Tolerance of `attention`: scores, softmax and sums in float32 over a cache of a few thousand positions.
  public static let attentionTolerance = KernelTolerance(normalizedSquaredErrorMax: 1e-9)

  /// Causal attention of each row over the cached positions 0...positions[r] of its own sequence:
  /// softmax(cap(q · kᵀ · scale)) · v, where cap(s) = softcap · tanh(s / softcap), or s when `softcap` is 0.
  /// - Parameters:
  ///   - cache: the bytes of the `cache` memory from address 0. - query: `[N, H, D]`. - bases, positions: `[N]`.
  ///   - layout: width G · D; query head h reads key/value head h / (H / G).
  ///   - window: the row sees only its last `window` positions, itself included; 0: all.
  /// - Returns: `[N, H, D]`. Source: GQA, arXiv:2305.13245, §2.2; softcap: Gemma 2, arXiv:2408.00118.
  public static func attention(
    cache: [UInt8], query: [Float], bases: [Int64], positions: [Int32], keyPlaneOffset: Int64, valuePlaneOffset: Int64,
    layout: CacheLayout, heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float, window: Int, softcap: Float
  ) throws(KernelError) -> [Float] {
    try requireMatrix(query, "query", rows: positions.count, columns: heads * headDimension)
    try require(bases.count == positions.count, "bases: \(positions.count) expected, found \(bases.count)")
    try require(keyValueHeads > 0 && heads % keyValueHeads == 0, "\(heads) heads over \(keyValueHeads) key/value heads")
    try require(layout.width == keyValueHeads * headDimension, "width \(layout.width) is not heads × dimension")
    var out = [Float](repeating: 0, count: query.count)
    for row in positions.indices {
      let last = positions[row]
      let first = window > 0 ? max(0, Int(last) - window + 1) : 0
      guard last >= 0 else { throw .outOfRange("position \(last)") }
      var keys: [[Float]] = []
      var values: [[Float]] = []
      for position in Int32(first)...last {
        let key = try cacheRow(cache, layout, base: bases[row], planeOffset: keyPlaneOffset, position: position)
        keys.append(try BlockDecoding.decode(cache, at: key, elementCount: layout.width, as: layout.type))
        let value = try cacheRow(cache, layout, base: bases[row], planeOffset: valuePlaneOffset, position: position)
        values.append(try BlockDecoding.decode(cache, at: value, elementCount: layout.width, as: layout.type))
      }
      for head in 0..<heads {
        let q = (row * heads + head) * headDimension
        let kv = head / (heads / keyValueHeads) * headDimension
        let scores = keys.map { key in
          let product = (0..<headDimension).reduce(0.0) { $0 + Double(query[q + $1]) * Double(key[kv + $1]) }
          let score = product * Double(scale)
          return softcap == 0 ? score : Double(softcap) * hyperbolicTangent(score / Double(softcap))
        }
        let weights = softmax(scores)
        for index in 0..<headDimension {
          out[q + index] = Float(zip(weights, values).reduce(0.0) { $0 + $1.0 * Double($1.1[kv + index]) })
        }
      }
    }
    return out
  }

  private static func cacheRow(
    _ cache: [UInt8], _ layout: CacheLayout, base: Int64, planeOffset: Int64, position: Int32
  ) throws(KernelError) -> Int {
    guard position >= 0, layout.chunkPositionCount > 0 else { throw .outOfRange("position \(position)") }
    let address = layout.address(base: base, planeOffset: planeOffset, position: position)
    guard address >= 0, address <= cache.count - layout.rowByteCount else {
      throw .outOfRange("position \(position) at \(address) of a cache of \(cache.count) bytes")
    }
    return address
  }
}
