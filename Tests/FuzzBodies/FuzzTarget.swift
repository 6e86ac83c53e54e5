import Foundation

/// A reader or an interface that takes bytes from strangers, and what must hold for all of them.
///
/// A body returns whatever the input is. It throws where a promise is broken: an answer that contradicts another, a byte that
/// changed though nobody might write it. Crashes, endless loops and memory errors are for whoever runs it to notice: the tests,
/// which replay `Tests/Regressions` and a short random run, and libFuzzer (`make fuzz`).
public struct FuzzTarget: Sendable {
  /// As `make fuzz TARGET=` and the folders of `Tests/Regressions` spell it.
  public let name: String
  public let summary: String
  /// Longer inputs find nothing that shorter ones do not, and take longer.
  public let inputByteCountMax: Int
  /// What mutations put in: keywords, magic numbers.
  public let dictionary: [[UInt8]]
  /// Inputs to begin with, from the files of a checkout.
  public let seeds: @Sendable (_ checkout: URL) -> [[UInt8]]
  public let body: @Sendable (_ input: [UInt8]) throws(BrokenPromise) -> Void

  init(
    _ name: String, _ summary: String, inputByteCountMax: Int = 4096, dictionary: [String] = [],
    bytes: [[UInt8]] = [], seeds: @escaping @Sendable (URL) -> [[UInt8]],
    body: @escaping @Sendable ([UInt8]) throws(BrokenPromise) -> Void
  ) {
    self.name = name
    self.summary = summary
    self.inputByteCountMax = inputByteCountMax
    self.dictionary = dictionary.map { Array($0.utf8) } + bytes
    self.seeds = seeds
    self.body = body
  }

  /// Every target.
  public static let all: [FuzzTarget] = [
    .wasm, .code, .moduleText, .wat, .wast, .gguf, .safetensors, .tokenizer, .template, .json, .bundle, .operations, .wasi,
  ]

  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

  /// The dictionary in libFuzzer's form, a quoted string a line.
  public var dictionaryText: String {
    dictionary.map { word in
      "\"" + word.map { byte in "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined() + "\"\n"
    }.joined()
  }
}
