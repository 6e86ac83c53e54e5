import Foundation
import Testing
import _TestSupport

/// Which room may import which: the table of the README, held against the source.
///
/// SwiftPM only notices an undeclared import; this notices a declared one that points up.
private let layers: [(layer: Int, rooms: [String])] = [
  (0, ["CPlatform", "COpenBLAS", "CInterpreter", "CTensorKernels", "CModelPrograms", "CEngineKernels"]),
  (1, ["VirtualMemory", "BinaryReading", "Tensors", "Tokenizers", "ChatTemplates", "ModelPrograms", "Charts", "SystemFiles"]),
  (2, ["WebAssembly", "TensorFiles"]),
  (3, ["WasmRuntime", "WebAssemblyText"]),
  (4, ["WasmScripts", "WASI", "TensorStore", "TensorOperations"]),
  (5, ["Bindery"]),
  (6, ["Benchmarking"]),
  (7, ["BinderyCommand"]),
]

/// Rooms of tensors, and rooms of WebAssembly, below the layer where they meet.
private let tensorRooms: Set = ["Tensors", "TensorFiles", "Tokenizers", "ChatTemplates", "CTensorKernels", "COpenBLAS"]
private let wasmRooms: Set = ["WebAssembly", "WasmRuntime", "CInterpreter", "WasmScripts", "WASI", "WebAssemblyText"]

@Suite("The rooms and their arrows")
struct LayerTests {
  private static let layerOf: [String: Int] = Dictionary(
    uniqueKeysWithValues: layers.flatMap { entry in entry.rooms.map { ($0, entry.layer) } })

  @Test("every Swift import of a room points down", arguments: layers.flatMap(\.rooms))
  func importsPointDown(room: String) throws {
    let layer = try #require(Self.layerOf[room])
    for file in try SourceTree.files(under: "Sources/\(room)", extensions: ["swift"]) {
      for imported in SourceTree.imports(of: try SourceTree.text(file)) {
        guard let importedLayer = Self.layerOf[imported], imported != room else { continue }
        #expect(importedLayer < layer, "\(file.lastPathComponent) of \(room) imports \(imported), which is not below it")
      }
    }
  }

  @Test("below the layer where they meet, WebAssembly and tensors do not know each other")
  func wasmAndTensorsAreStrangers() throws {
    for room in wasmRooms {
      for file in try SourceTree.files(under: "Sources/\(room)", extensions: ["swift"]) {
        let met = SourceTree.imports(of: try SourceTree.text(file)).filter(tensorRooms.contains)
        #expect(met.isEmpty, "\(file.lastPathComponent) of \(room) imports \(met)")
      }
    }
    for room in tensorRooms {
      for file in try SourceTree.files(under: "Sources/\(room)", extensions: ["swift"]) {
        let met = SourceTree.imports(of: try SourceTree.text(file)).filter(wasmRooms.contains)
        #expect(met.isEmpty, "\(file.lastPathComponent) of \(room) imports \(met)")
      }
    }
  }

  @Test("every folder of Sources is in the table")
  func tableIsComplete() throws {
    let tools: Set = ["InstructionDescription", "InstructionGenerator"]
    let folders = try FileManager.default.contentsOfDirectory(atPath: Repository.path("Sources").path)
      .filter { !$0.hasPrefix(".") }
    #expect(Set(folders).subtracting(tools) == Set(Self.layerOf.keys))
  }
}
