import Foundation
import Testing
import WasmRuntime
import WasmScripts
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Our own scripts for memory control, one case per file: `Tests/Fixtures/memory-control`.
@Suite("Memory control scripts")
struct MemoryControlTests {
  static let files: [String] = {
    let folder = Repository.fixture("memory-control").path
    return (try? FileManager.default.contentsOfDirectory(atPath: folder))?.filter { $0.hasSuffix(".wast") }.sorted() ?? []
  }()

  @Test("every command of a script holds", arguments: files)
  func passes(file: String) throws {
    let text = [UInt8](try Data(contentsOf: Repository.fixture("memory-control/\(file)")))
    let report = try ScriptRunner.run(try WebAssemblyText.script(text))
    for failure in report.failures { Issue.record("\(file):\(failure.line): \(failure.message)") }
    #expect(report.skips.isEmpty, "\(file): \(report.skips)")
    #expect(report.passedCount > 5)
  }

  @Test("where the feature is off, its instructions are illegal and its attributes malformed")
  func featureOff() throws {
    var configuration = EngineConfiguration()
    configuration.features.remove(.memoryControl)
    let text = #"""
      (assert_malformed
        (module binary "\00asm" "\01\00\00\00" "\05\05\01" "\21\01\02\04") "malformed limits flags")
      (assert_malformed
        (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\05\03\01\00\01"
          "\0a\0b\01\09\00" "\41\00\41\00\fc\12\00" "\0b")
        "illegal opcode")
      (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\05\03\01\00\01"
        "\0a\0d\01\0b\00" "\41\00\41\00\41\00\fc\0b\00" "\0b")
      """#
    let report = try ScriptRunner.run(WebAssemblyText.script(Array(text.utf8)), configuration: configuration)
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.passedCount == 2)
  }

  @Test("every command of the script of memory references holds, where the feature is on; where it is off, there are none")
  func references() throws {
    let text = [UInt8](try Data(contentsOf: Repository.fixture("memory-control/references/references.wast")))
    var configuration = EngineConfiguration()
    configuration.features.insert(.memoryReferences)
    let report = try ScriptRunner.run(try WebAssemblyText.script(text), configuration: configuration)
    for failure in report.failures { Issue.record("references.wast:\(failure.line): \(failure.message)") }
    #expect(report.skips.isEmpty && report.passedCount > 45)
    let off = #"""
      (assert_malformed (module binary "\00asm" "\01\00\00\00" "\01\05\01\60\01\5a\00") "malformed value type")
      (assert_malformed (module binary "\00asm" "\01\00\00\00" "\04\04\01\5a\00\01") "malformed reference type")
      (assert_malformed
        (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\05\03\01\00\01"
          "\0a\08\01\06\00" "\fc\28\00\1a" "\0b")
        "illegal opcode")
      (assert_malformed
        (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\05\03\01\00\01"
          "\0a\0b\01\09\00" "\41\00\28\82\02\00\1a" "\0b")
        "malformed memop flags")
      """#
    let refused = try ScriptRunner.run(WebAssemblyText.script(Array(off.utf8)))
    #expect(refused.failures.isEmpty && refused.passedCount == 4, "\(refused.failures)")
  }

  static let hostCases: [HostScript.Case] = {
    let folder = Repository.fixture("memory-control/host")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.filter { $0.hasSuffix(".json") }.sorted() ?? []
    // A script that cannot be read is missed by `count`.
    return names.flatMap { (try? HostScript(contentsOf: folder.appending(path: $0)))?.cases ?? [] }
  }()

  @Test("a case of the host's scripts holds", arguments: hostCases)
  func hostCase(_ test: HostScript.Case) throws { try HostScriptRunner.run(test) }

  @Test("the scripts are all there, and every one is named in the list of rules")
  func count() throws {
    #expect(Self.files.count == 11)
    #expect(Self.hostCases.count == 42)
    let rules = try String(contentsOf: Repository.fixture("memory-control/RULES.md"), encoding: .utf8)
    for file in Self.files + Set(Self.hostCases.map(\.file)) { #expect(rules.contains("`\(file)`"), "\(file)") }
  }
}
