import Foundation
import TensorOperations
import Testing
import _TestSupport

@Suite("The definition of the tensor module")
struct TensorOperationTests {
  @Test("every name in shapes and rules is a parameter, and names are unique", arguments: TensorOperation.all.map(\.name))
  func namesResolve(name: String) throws {
    let operation = try #require(TensorOperation.named(name))
    let names = operation.parameters.map(\.name)
    #expect(Set(names).count == names.count)
    for parameter in operation.parameters {
      guard case .operand(let operand) = parameter.kind else { continue }
      #expect(Set(operand.shape).isSubset(of: names))
      #expect(Set(operand.mayEqual).isSubset(of: names))
      #expect(!operand.shape.isEmpty && operand.shape.count <= 3)
      if case .typed(let type) = operand.element { #expect(names.contains(type)) }
      if operand.memory == .weights { #expect(operand.access == .read, "weights are never written") }
    }
    // Compiling the plan resolves every name of every rule, or stops.
    _ = TensorOperation.checkedRuleCount(of: operation)
  }

  @Test("operation names are unique, and slices are parts of imports")
  func operationNames() {
    #expect(Set(TensorOperation.all.map(\.name)).count == TensorOperation.all.count)
    for operation in TensorOperation.all {
      guard let whole = operation.sliceOf else { continue }
      #expect(TensorOperation.imports.contains { $0.name == whole })
      #expect(!TensorOperation.imports.contains { $0.name == operation.name })
    }
    #expect(TensorOperation.imports.count == 18)
  }

  @Test(
    "signatures are those of version 1 of the module",
    arguments: [
      ("matmul", "i64 i64 i64 i32 i32 i32 i32"),
      ("get_rows", "i64 i64 i32 i64 i32 i32 i32"),
      ("rms_norm", "i64 i64 i64 i32 i32 i32 f32"),
      ("layer_norm", "i64 i64 i64 i64 i32 i32 i32 f32"),
      ("rope", "i64 i64 i32 i32 i32 i32 f32 f32 i32"),
      ("cache_append", "i64 i64 i64 i64 i32 i64 i32 i32 i32"),
      ("attention", "i64 i64 i64 i64 i64 i64 i32 i64 i32 i32 i32 i32 i32 f32 i32 f32"),
      ("add", "i64 i64 i64 i64"), ("scale", "i64 i64 i64 f32"), ("add_bias", "i64 i64 i64 i32 i32 i32"),
      ("silu", "i64 i64 i64"), ("silu_mul", "i64 i64 i64 i64"), ("softmax", "i64 i64 i32 i32"),
      ("top_k", "i64 i64 i64 i32 i32 i32"), ("matmul_slice", "i64 i64 i64 i32 i32 i32 i32 i32 i32"),
      ("attention_slice", "i64 i64 i64 i64 i64 i64 i32 i64 i32 i32 i32 i32 i32 f32 i32 f32 i32 i32 i32 i32"),
    ])
  func signatures(name: String, expected: String) throws {
    #expect(try #require(TensorOperation.named(name)).signature == "(param \(expected))")
  }
}

@Suite("The documentation of the tensor module")
struct TensorOperationDocumentationTests {
  /// With BINDERY_UPDATE_DOCUMENTATION set, the table is written; otherwise compared.
  @Test("the page of the room holds the table of the definition")
  func pageIsFresh() throws {
    let page = Repository.path("Sources/TensorOperations/TensorOperations.docc/TensorOperations.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    let heading = "Tolerances are normalised squared errors against the reference kernels.\n\n"
    let start = try #require(text.range(of: heading)).upperBound
    if ProcessInfo.processInfo.environment["BINDERY_UPDATE_DOCUMENTATION"] != nil {
      try (text[..<start] + TensorOperation.documentationTable).write(to: page, atomically: true, encoding: .utf8)
    } else {
      #expect(text[start...] == TensorOperation.documentationTable, "run this test with BINDERY_UPDATE_DOCUMENTATION=1")
    }
  }
}
