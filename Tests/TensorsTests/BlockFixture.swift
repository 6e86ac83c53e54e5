import Foundation
import Tensors
import _TestSupport

/// What ggml itself says about its types: see Tests/Fixtures/Tensors/make_blocks.py.
struct BlockFixture: Decodable {
  struct Size: Decodable {
    let number: UInt32, name: String, block_element_count: Int, block_byte_count: Int
  }
  struct Block: Decodable {
    let type: UInt32, values: [UInt32], bytes: String, decoded: [UInt32]

    var encoded: [UInt8] {
      let digits = Array(bytes.utf8).map { $0 > 57 ? $0 - 87 : $0 - 48 }
      return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
  }
  let sizes: [Size], blocks: [Block], halves: [[UInt32]]

  static func load() throws -> BlockFixture {
    try JSONDecoder().decode(Self.self, from: Data(contentsOf: Repository.fixture("Tensors/blocks.json")))
  }
}
