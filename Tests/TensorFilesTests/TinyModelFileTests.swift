import Foundation
import TensorFiles
import Tensors
import Testing
import _TestSupport

/// The model file in the repository: these tests need no download.
@Suite struct TinyModelFileTests {
  @Test func `the tiny model has the weight types of SmolLM2, in the shapes of its architecture`() throws {
    let file = try Data(contentsOf: Repository.path("models/tiny-stories-1m/tiny-stories-1m.gguf"))
    let catalog = try GGUFFile.readCatalog(file.bytes)
    let counts = Dictionary(grouping: catalog.tensors, by: \.type).mapValues(\.count)
    #expect(counts == [.q4_1: 42, .q8_0: 1, .f32: 13])
    #expect(catalog[tensor: "token_embd.weight"]?.shape.dimensions == [1024, 128])
    #expect(catalog[tensor: "blk.0.attn_k.weight"]?.shape.dimensions == [64, 128])
    #expect(catalog[tensor: "blk.5.ffn_down.weight"]?.shape.dimensions == [128, 352])
    #expect(catalog[tensor: "output.weight"] == nil)
  }
}
