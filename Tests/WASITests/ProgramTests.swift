import Foundation
import SystemFiles
import Testing
import WASI
import WasmRuntime
import _TestSupport

@Suite("C programs built with wasi-libc")
struct ProgramTests {
  let runner: ProgramRunner

  init() throws { runner = try ProgramRunner() }

  @Test(
    "print what their native builds print",
    arguments: [
      "hello", "floats", "files", "directories", "clocks", "buffers", "allocation", "links", "times", "random",
    ], [true, false])
  func sameOutput(name: String, usesKernel: Bool) throws {
    let outcome = try runner.run(
      try ProgramRunner.fixture("\(name).wasm"), arguments: ["one", "two words"], usesKernel: usesKernel)
    let expected = try ProgramRunner.expectedOutput(name)
    #expect(outcome.output == expected)
    #expect(outcome.status == (name == "hello" ? 7 : 0))
    #expect(outcome.error == (name == "hello" ? "to standard error\n" : ""))
    // They all clear away what they made.
    #expect(try FileManager.default.contentsOfDirectory(atPath: runner.folder.url.appending(path: "run").path) == [])
  }

  @Test("standard input is read to its end")
  func standardInput() throws {
    let input = try ProgramRunner.fixture("count.c")
    let outcome = try runner.run(try ProgramRunner.fixture("count.wasm"), input: input)
    #expect(outcome.output == (try ProgramRunner.expectedOutput("count")))
    let nothing = try runner.run(try ProgramRunner.fixture("count.wasm")) { $0.standardInput = .null }
    #expect(nothing.output == "0 0 0 1\n")
  }

  @Test("a program ends with its status; handlers of atexit run on exit, not on _exit; abort is a trap")
  func endings() throws {
    let program = try ProgramRunner.fixture("leave.wasm")
    let exit = try runner.run(program)
    #expect(exit.status == 41 && exit.output == "no newline before the endgoodbye\n")
    let quick = try runner.run(program, arguments: ["quick"])
    #expect(quick.status == 3 && quick.output == "")
    for (argument, kind) in [("abort", TrapKind.unreachable), ("wild", .memory(.outOfBounds))] {
      let error = #expect(throws: WasmError.self) { try runner.run(program, arguments: [argument]) }
      guard case .trap(let trap)? = error else { Issue.record("\(String(describing: error))"); continue }
      #expect(trap.kind == kind)
    }
  }

  @Test("no path leads out of a granted folder", arguments: [true, false])
  func escape(usesKernel: Bool) throws {
    let files = FileManager.default
    let root = runner.folder.url.path
    try files.createDirectory(atPath: "\(root)/sandbox/inside", withIntermediateDirectories: true)
    try files.createDirectory(atPath: "\(root)/victim", withIntermediateDirectories: true)
    for name in ["secret", "sandbox/inside/file"] { _ = try runner.folder.write(Array("secret".utf8), to: name) }
    let links = [
      "out": "..", "outdir": "../victim", "absolute": "\(root)/secret", "inside/up": "../..", "inside/chain": "up/secret",
      "dangling-out": "../new", "absolute-new": "\(root)/new", "up-file": "inside/../../secret",
      "inside/up-then-file": "up/secret",
      "link-inside": "inside/../inside/file",
    ]
    for (name, target) in links {
      try files.createSymbolicLink(atPath: "\(root)/sandbox/\(name)", withDestinationPath: target)
    }
    let before = Set(try files.subpathsOfDirectory(atPath: root)).union(["stdin", "stdout", "stderr"])
    let date = try files.attributesOfItem(atPath: "\(root)/secret")[.modificationDate] as? Date
    let outcome = try runner.run(try ProgramRunner.fixture("escape.wasm"), root: "sandbox", usesKernel: usesKernel)
    #expect(outcome.output == "inside works\nlink inside works\n0 ways out\n")
    #expect(Set(try files.subpathsOfDirectory(atPath: root)) == before)
    #expect(try files.attributesOfItem(atPath: "\(root)/secret")[.modificationDate] as? Date == date)
  }

  @Test("a folder granted for reading can be read and not changed")
  func readOnly() throws {
    _ = try runner.run(try ProgramRunner.fixture("hello.wasm"))
    try Data("old".utf8).write(to: runner.folder.url.appending(path: "run/notes.txt"))
    let error = #expect(throws: WasmError.self) { try runner.run(try ProgramRunner.fixture("files.wasm"), access: .readOnly) }
    // The program does not look whether fopen succeeded.
    guard case .trap? = error else { Issue.record("\(String(describing: error))"); return }
    let listing = try runner.run(try ProgramRunner.fixture("directories.wasm"), access: .readOnly)
    #expect(listing.output.hasPrefix("mkdir -1\n"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: runner.folder.url.appending(path: "run").path) == ["notes.txt"])
    #expect(try Data(contentsOf: runner.folder.url.appending(path: "run/notes.txt")) == Data("old".utf8))
  }

  @Test("without a granted folder there are no files at all")
  func noFolder() throws {
    let outcome = try runner.run(try ProgramRunner.fixture("directories.wasm")) { $0.preopens = [] }
    #expect(outcome.output.hasPrefix("mkdir -1\n") && outcome.output.contains("tree: cannot be opened"))
  }

  @Test("what the configuration names and is not there is one clear sentence")
  func setup() throws {
    var configuration = WASIConfiguration()
    configuration.preopens = [.init(guestPath: "/", hostPath: "/no/such/folder")]
    let error = #expect(throws: WASISetupError.self) { try WASI(configuration) }
    #expect(error?.description == "cannot open the folder '/no/such/folder': No such file or directory")
    configuration.preopens = []
    configuration.arguments = ["a\0b"]
    #expect(throws: WASISetupError.self) { try WASI(configuration) }
    configuration.arguments = []
    configuration.standardInput = .descriptor(-1)
    #expect(throws: WASISetupError.self) { try WASI(configuration) }
  }
}
