import TensorFiles
import TensorStore

/// How many addresses a session reserves for its cache and its scratch memory: what its model can use, with a wide margin, so that many
/// thousand sessions fit the 128 TiB of a process.
///
/// The figures come from the weight file, which a stranger wrote. The worst that wrong ones do is that growing is refused, or that
/// reserving is.
struct SessionAddresses {
  /// The most that program interfaces import: 64 GiB.
  static let pageCountMax: UInt64 = 1 << 20
  /// In any case: 1 GiB.
  static let pageCountMin: UInt64 = 1 << 14

  let cachePageCount: UInt64
  let scratchPageCount: UInt64

  init(_ metadata: TensorFileMetadata, rowCountMax: Int) {
    let architecture = metadata.string("general.architecture") ?? ""
    func number(_ key: String) -> UInt64? {
      metadata.integer("\(architecture).\(key)").flatMap { $0 > 0 ? UInt64($0) : nil }
    }
    guard let context = number("context_length"), let blocks = number("block_count"), let width = number("embedding_length") else {
      cachePageCount = Self.pageCountMax
      scratchPageCount = Self.pageCountMax
      return
    }
    let heads = number("attention.head_count") ?? width
    let headWidth = max(
      number("attention.key_length") ?? 0, number("attention.value_length") ?? 0, (width + heads - 1) / heads)
    let vocabulary = UInt64(metadata.array("tokenizer.ggml.tokens")?.count ?? 1 << 20)
    let rows = UInt64(max(1, rowCountMax))
    // Keys and values of two sequences in f32; heads that share keys and values need less.
    cachePageCount = Self.pages([4, 2, 2, context, blocks, heads, headWidth])
    // Per row: scores over the whole context for each head, logits, and sixteen of the widest activations. Four times that.
    let activations = Self.sum([Self.product([heads, context]), vocabulary, Self.product([16, width]), number("feed_forward_length") ?? 0])
    scratchPageCount = Self.pages([4, 4, rows, activations])
  }

  private static func pages(_ factors: [UInt64]) -> UInt64 {
    min(pageCountMax, sum([pageCountMin, product(factors) >> 16]))
  }

  private static func product(_ factors: [UInt64]) -> UInt64 {
    factors.reduce(1) { product, factor in
      let (result, overflow) = product.multipliedReportingOverflow(by: factor)
      return overflow ? .max : result
    }
  }

  private static func sum(_ terms: [UInt64]) -> UInt64 {
    terms.reduce(0) { sum, term in
      let (result, overflow) = sum.addingReportingOverflow(term)
      return overflow ? .max : result
    }
  }
}
