/// The dimensions of a tensor in row-major order, outermost first: a weight matrix is `[columnsOut, columnsIn]`.
///
/// Invariant: every dimension is 0 or more and their product, the element count, fits an `Int`. So no code that is handed a
/// shape has to check its arithmetic again. GGUF headers write the dimensions the other way round (innermost first).
public struct TensorShape: Hashable, Sendable {
  /// Outermost first. Empty for a scalar.
  public let dimensions: [Int]

  /// The product of the dimensions: 1 for a scalar.
  public let elementCount: Int

  /// Nil when a dimension does not fit an `Int` or the element count overflows.
  public init?(_ dimensions: some Collection<UInt64>) {
    var checked: [Int] = []
    checked.reserveCapacity(dimensions.count)
    for dimension in dimensions {
      guard let dimension = Int(exactly: dimension) else { return nil }
      checked.append(dimension)
    }
    self.init(checked)
  }

  /// Nil when a dimension is negative or the element count overflows.
  public init?(_ dimensions: [Int]) {
    // A zero must not hide an overflow beside it: strides are products of some of the dimensions.
    var product = 1
    for dimension in dimensions {
      guard dimension >= 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: max(dimension, 1))
      guard !overflow else { return nil }
      product = next
    }
    self.dimensions = dimensions
    self.elementCount = dimensions.contains(0) ? 0 : product
  }

  /// Number of dimensions.
  public var rank: Int { dimensions.count }

  /// Elements of one row: the innermost dimension, 1 for a scalar.
  public var rowElementCount: Int { dimensions.last ?? 1 }

  /// Number of rows: the product of all dimensions but the innermost.
  public var rowCount: Int { dimensions.dropLast().reduce(1, *) }

  /// Bytes of a tensor of this shape and type; nil when a row is no whole number of blocks, or the count overflows.
  public func byteCount(of type: ElementType) -> Int? {
    guard let rowByteCount = type.rowByteCount(elementCount: rowElementCount) else { return nil }
    let (byteCount, overflow) = rowCount.multipliedReportingOverflow(by: rowByteCount)
    return overflow ? nil : byteCount
  }
}

extension TensorShape: CustomStringConvertible {
  /// `[49152, 576]`
  public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }
}
