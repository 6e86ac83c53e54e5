import Foundation
import InstructionDescription
import Testing
import _TestSupport

/// What is generated or built and committed all the same is what its sources give.
@Suite("Committed products")
struct GeneratedFileTests {
  @Test("the generated sources are what their description gives")
  func generatedSources() throws {
    for file in generatedFiles() {
      let committed = try String(contentsOf: Repository.path(file.path), encoding: .utf8)
      #expect(committed == file.contents, "\(file.path) is stale: run `make generate` and commit the result")
    }
  }

  @Test("a rebuild of the guests gives the committed bytes")
  func guests() throws {
    try check(Repository.path("models/build.sh"), ["--check"])
  }

  @Test("a rebuild of the engine benchmark's kernels gives the committed bytes")
  func engineKernels() throws {
    try check(URL(filePath: "/usr/bin/env"), ["make", "-s", "-C", Repository.path("Sources/CEngineKernels").path, "check"])
  }

  private func check(_ tool: URL, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = tool
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["BINDERY": BinderyExecutable.url.path]) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(output)")
  }
}
