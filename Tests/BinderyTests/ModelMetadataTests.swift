import Bindery
import Testing
import _TestSupport

/// What a model program says of metadata that it does not take: the value that it found, never "none" where there is one.
@Suite struct ModelMetadataTests {
  @Test(arguments: [
    ("llama.context_length", 4, GGUFBytes.integer(UInt32.max), ["llama.context_length", "from 1 to 268435456", "found 4294967295"]),
    ("llama.block_count", 4, GGUFBytes.integer(UInt32(1) << 31), ["llama.block_count", "from 1 to 4096", "found 2147483648"]),
    ("llama.block_count", 11, GGUFBytes.integer(Int64.min), ["llama.block_count", "found -9223372036854775808"]),
    ("llama.embedding_length", 10, GGUFBytes.integer(UInt64.max), ["llama.embedding_length", "no integer of 64 bits"]),
    ("llama.feed_forward_length", 8, GGUFBytes.string("many"), ["llama.feed_forward_length", "found a text"]),
    ("llama.attention.head_count_kv", 8, GGUFBytes.string("4"), ["llama.attention.head_count_kv", "found a text"]),
    ("llama.attention.head_count", 6, GGUFBytes.integer(Float(4).bitPattern), ["llama.attention.head_count", "no integer"]),
    ("llama.attention.layer_norm_rms_epsilon", 8, GGUFBytes.string("0"), ["layer_norm_rms_epsilon", "found a text"]),
    ("llama.attention.layer_norm_rms_epsilon", 6, GGUFBytes.integer(Float.nan.bitPattern), ["layer_norm_rms_epsilon", "above zero"]),
    ("llama.expert_count", 10, GGUFBytes.integer(UInt64(1) << 40), ["llama.expert_count"]),
  ] as [(String, UInt32, [UInt8], [String])])
  func `values out of range are shown`(key: String, kind: UInt32, value: [UInt8], reasons: [String]) throws {
    var file = try GGUFCopy.tinyModel()
    file.set(key, kind: kind, value)
    let folder = try TemporaryFolder()
    let model = try Bindery.Host().openModel(at: try folder.write(file.bytes, to: "model.gguf"))
    do throws(BinderyError) {
      _ = try model.makeSession()
      Issue.record("it is taken")
    } catch {
      for reason in reasons { #expect(error.message.contains(reason), "\(error.message)") }
    }
  }
}
