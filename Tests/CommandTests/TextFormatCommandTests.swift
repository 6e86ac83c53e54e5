import Foundation
import Testing
import _TestSupport

/// `wat2wasm`, `wasm2wat`, `validate` and `wast`, as users run them.
@Suite("Commands for modules in text and binary")
struct TextFormatCommandTests {
  private static let text = """
    (module $m
      (func $add (export "add") (param $x i32) (param $y i32) (result i32)
        local.get $x
        local.get $y
        i32.add))
    """
  private static let magic: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]

  /// A folder with `good.wat`, and a path of a file to be made in it.
  private func folder() throws -> (TemporaryFolder, good: String, output: String) {
    let folder = try TemporaryFolder()
    return (folder, try folder.write(Array(Self.text.utf8), to: "good.wat"), folder.url.appending(path: "out.wasm").path)
  }

  private func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }

  // MARK: Translation

  @Test("text to binary to text to binary: the same bytes")
  func roundTrip() throws {
    let (folder, good, output) = try folder()
    defer { withExtendedLifetime(folder) {} }
    let made = try BinderyExecutable.run(["wat2wasm", good, "-o", output])
    #expect(made.status == 0 && made.output.isEmpty && made.errors.isEmpty, "\(made.errors)")
    let binary = try bytes(output)
    #expect(binary.starts(with: Self.magic))
    let printed = try BinderyExecutable.run(["wasm2wat", output])
    #expect(printed.status == 0)
    #expect(printed.output.contains("(func $add") && printed.output.contains("local.get $y"))
    let second = folder.url.appending(path: "second.wasm").path
    let again = try BinderyExecutable.run(["wat2wasm", "-", "--output", second], input: printed.output)
    #expect(again.status == 0, "\(again.errors)")
    #expect(try bytes(second) == binary)
  }

  @Test(
    "a committed program survives wasm2wat and wat2wasm",
    arguments: ["models/programs/llama.wasm", "models/programs/kernels.wasm"])
  func program(path: String) throws {
    let (folder, _, output) = try folder()
    defer { withExtendedLifetime(folder) {} }
    let text = folder.url.appending(path: "program.wat").path
    let printed = try BinderyExecutable.run(["wasm2wat", path, "-o", text])
    #expect(printed.status == 0 && printed.output.isEmpty, "\(printed.errors)")
    #expect(try BinderyExecutable.run(["wat2wasm", text, "-o", output]).status == 0)
    #expect(try bytes(output) == bytes(Repository.path(path).path))
  }

  @Test("without --output the text goes to standard output, so does the binary")
  func standardOutput() throws {
    let empty = try BinderyExecutable.run(["wat2wasm", "-"], input: "(module)")
    #expect(empty.status == 0 && Array(empty.output.utf8) == Self.magic)
  }

  @Test("custom sections are printed as annotations, or left out on request")
  func customSections() throws {
    let (folder, _, output) = try folder()
    defer { withExtendedLifetime(folder) {} }
    #expect(
      try BinderyExecutable.run(["wat2wasm", "-", "-o", output], input: #"(module (func $f) (@custom "note" "hi"))"#).status == 0)
    #expect(try BinderyExecutable.run(["wasm2wat", output]).output.contains(#"(@custom "note" "hi")"#))
    let without = try BinderyExecutable.run(["wasm2wat", output, "--no-custom"]).output
    #expect(!without.contains("@custom") && without.contains("$f"))
  }

  // MARK: Errors

  /// Runs a command on a file and expects `FILE:LINE:COLUMN: message`, the line of the text, and the marker.
  private func expectPlace(
    _ command: String, _ text: String, line: Int, column: Int, message: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let path = try folder.write(Array(text.utf8), to: "bad.wat")
    let result = try BinderyExecutable.run([command, path])
    #expect(result.status == 1 && !result.wasSignalled && result.output.isEmpty, "\(result)", sourceLocation: sourceLocation)
    let lines = result.errors.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(
      lines.first?.hasPrefix("bindery: \(path):\(line):\(column): ") == true, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(lines.first?.contains(message) == true, "\(result.errors)", sourceLocation: sourceLocation)
    let source = text.split(separator: "\n", omittingEmptySubsequences: false)[line - 1]
    #expect(lines.count > 2 && lines[1] == "\(line) | \(source)", "\(result.errors)", sourceLocation: sourceLocation)
    #expect(
      lines.count > 2 && lines[2] == "  | " + String(repeating: " ", count: column - 1) + "^", sourceLocation: sourceLocation)
  }

  @Test("errors of a text show the line and a marker", arguments: ["wat2wasm", "validate"])
  func textErrors(command: String) throws {
    try expectPlace(command, "(module\n  (func\n    i32.frob))", line: 3, column: 5, message: "unknown operator i32.frob")
    try expectPlace(command, "(module (func $f)\n(func $f))", line: 2, column: 7, message: "duplicate func $f")
    try expectPlace(command, "(module\n  (func (call $g)))", line: 2, column: 15, message: "unknown func $g")
    try expectPlace(command, "(module\n  (func \"x", line: 2, column: 9, message: "unclosed string")
    try expectPlace(command, "(module\n  (func (result i32)\n    i64.const 1))", line: 3, column: 16, message: "type mismatch")
    try expectPlace(
      command, "(module\n  (func (i32.add (i32.const 1) (f32.const 1)) drop))", line: 2, column: 10, message: "type mismatch")
    try expectPlace(command, "(module (memory 1)\n  (export \"a\" (memory 3)))", line: 2, column: 4, message: "unknown memory")
  }

  @Test("errors of a binary have their offset")
  func binaryErrors() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    // A type section with a form that does not exist.
    let malformed = try folder.write(Self.magic + [1, 2, 1, 0x40], to: "bad.wasm")
    for command in ["wasm2wat", "validate"] {
      let result = try BinderyExecutable.run([command, malformed])
      #expect(result.status == 1 && result.output.isEmpty)
      #expect(result.errorLines == ["bindery: \(malformed): malformed module: malformed function type, at byte 11 (0xb)"])
    }
    // A function of a type that the module does not have.
    let invalid = try folder.write(Self.magic + [3, 2, 1, 7, 10, 4, 1, 2, 0, 0x0B], to: "invalid.wasm")
    let result = try BinderyExecutable.run(["validate", invalid])
    #expect(result.status == 1)
    #expect(result.errors.contains("invalid.wasm: invalid module: unknown type 7, at byte 11"))
    #expect(try BinderyExecutable.run(["wasm2wat", invalid]).status == 0)
    let text = try folder.write(Array("(module)".utf8), to: "text.wasm")
    #expect(try BinderyExecutable.run(["wasm2wat", text]).errors.contains("magic header not detected"))
    let translated = try BinderyExecutable.run(["wat2wasm", invalid])
    #expect(translated.status == 1 && translated.errors.contains("is a binary module already"))
  }

  @Test("an invalid module is translated on request only")
  func unchecked() throws {
    let text = "(module (func (result i32)))"
    #expect(try BinderyExecutable.run(["wat2wasm", "-"], input: text).status == 1)
    #expect(try BinderyExecutable.run(["wat2wasm", "-", "--no-check"], input: text).status == 0)
  }

  @Test("bad input of every kind is a failure, not a crash", arguments: ["wat2wasm", "wasm2wat", "validate", "wast"])
  func badInput(command: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let inputs: [[UInt8]] = [
      [0xFF, 0xFE, 0x00], Self.magic + [0], Array("(".utf8), Array("hello".utf8), Array("(module (module))".utf8),
      Array(String(repeating: "(block", count: 50_000).utf8), Self.magic + [UInt8](repeating: 0xFF, count: 40),
    ]
    for (index, input) in inputs.enumerated() {
      let path = try folder.write(input, to: "\(index)")
      let result = try BinderyExecutable.run([command, path])
      #expect(result.status == 1 && !result.wasSignalled, "\(command) \(index): \(result)")
    }
    #expect(try BinderyExecutable.run([command, "no-such-file.wat"]).errors.contains("no-such-file.wat"))
    #expect(try BinderyExecutable.run([command, "no-such-file.wat"]).status == 1)
    #expect(try BinderyExecutable.run([command, "Sources"]).status == 1)
    #expect(try BinderyExecutable.run([command]).status == 64)
    #expect(try BinderyExecutable.run([command, "x", "--no-such-option"]).status == 64)
    if command.contains("2w") {
      let (other, good, _) = try self.folder()
      defer { withExtendedLifetime(other) {} }
      #expect(
        try BinderyExecutable.run(["wat2wasm", good, "-o", "/no-such-folder/x.wasm"]).errors.contains("/no-such-folder/x.wasm"))
    }
  }

  // MARK: Bounded output

  @Test("a module that nests a hundred thousand blocks prints and returns within bounds")
  func deepModule() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let depth = 100_000
    var body: [UInt8] = []
    for _ in 0..<depth { body += [0x02, 0x40] }
    body += [UInt8](repeating: 0x0B, count: depth + 1)
    func leb(_ value: Int) -> [UInt8] {
      value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] as [UInt8] + leb(value >> 7)
    }
    let code: [UInt8] = [0] + body
    var section: [UInt8] = [1]
    section += leb(code.count)
    section += code
    var module = Self.magic
    module += [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10]
    module += leb(section.count)
    module += section
    let deep = try folder.write(module, to: "deep.wasm")
    let text = folder.url.appending(path: "deep.wat").path
    #expect(try BinderyExecutable.run(["wasm2wat", deep, "-o", text]).status == 0)
    #expect(try bytes(text).count < 8_000_000)
    let again = folder.url.appending(path: "again.wasm").path
    #expect(try BinderyExecutable.run(["wat2wasm", text, "-o", again]).status == 0)
    #expect(try bytes(again) == module)
  }

  @Test("output that fails is one sentence, and leaves no file")
  func failingOutput() throws {
    let (folder, good, output) = try folder()
    defer { withExtendedLifetime(folder) {} }
    #expect(try BinderyExecutable.run(["wat2wasm", good, "-o", output]).status == 0)
    for arguments in [["wasm2wat", output, "-o", "/dev/full"], ["wat2wasm", good, "-o", "/dev/full"]] {
      let result = try BinderyExecutable.run(arguments)
      #expect(result.status == 1 && !result.wasSignalled && result.errorLines.count == 1, "\(result)")
    }
    // Too many locals are found before the first line; the old file stays.
    let old = try folder.write(Array("old".utf8), to: "old.wat")
    let declared: [UInt8] = [
      1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 10, 1, 8, 1, 0x80, 0x94, 0xEB, 0xDC, 3, 0x7F, 0x0B,
    ]
    let many = try folder.write(Self.magic + declared, to: "many.wasm")
    let refused = try BinderyExecutable.run(["wasm2wat", many, "-o", old])
    #expect(refused.status == 1 && refused.errors.contains("too many locals"), "\(refused)")
    #expect(try bytes(old) == Array("old".utf8))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).allSatisfy { !$0.hasPrefix(".bindery") })
  }

  // MARK: One door for modules

  /// A function `answer` that gives 42, in each form in which a module may come.
  private static let answers: [(name: String, text: String)] = [
    ("plain", "(module (func (export \"answer\") (result i32) (i32.const 42)))"),
    ("fields", ";; fields alone\n(func (export \"answer\") (result i32) (i32.const 42))"),
    ("quote", #"(module quote "(func (export \"answer\")" "(result i32) (i32.const 42))")"#),
    (
      "binary",
      #"""
      (module binary "\00asm\01\00\00\00" "\01\05\01\60\00\01\7f" "\03\02\01\00" "\07\0a\01\06answer\00\00"
        "\0a\06\01\04\00\41\2a\0b")
      """#
    ),
  ]

  @Test("exec, validate and inspect take a module in any form, by its contents", arguments: answers.map(\.name))
  func anyForm(name: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let text = try #require(Self.answers.first { $0.name == name }).text
    let binary = folder.url.appending(path: "binary").path
    #expect(try BinderyExecutable.run(["wat2wasm", "-", "-o", binary], input: text).status == 0)
    #expect(try bytes(binary).starts(with: Self.magic))
    // The extension says nothing: a text may be called .wasm, a binary .wat.
    for (contents, file) in [(Array(text.utf8), "a.wat"), (Array(text.utf8), "b.wasm"), (try bytes(binary), "c.wat")] {
      let path = try folder.write(contents, to: file)
      let executed = try BinderyExecutable.run(["exec", path, "--invoke", "answer"])
      #expect(executed.status == 0 && executed.output == "42\n", "\(file): \(executed)")
      #expect(try BinderyExecutable.run(["validate", path]).output == "\(path): valid\n")
      let inspected = try BinderyExecutable.run(["inspect", path])
      #expect(inspected.status == 0 && inspected.output.contains("answer"), "\(file): \(inspected)")
    }
    // From standard input and through a pipe.
    let executed = try BinderyExecutable.run(["exec", "-", "--invoke", "answer"], input: text)
    #expect(executed.status == 0 && executed.output == "42\n", "\(executed)")
    #expect(try BinderyExecutable.run(["validate", "-"], input: text).output == "<standard input>: valid\n")
    #expect(try BinderyExecutable.run(["inspect", "-"], input: text).output.contains("answer"))
    let pipe = Process()
    pipe.executableURL = URL(filePath: "/bin/bash")
    pipe.arguments = ["-c", "\"$0\" exec <(cat \"$1\") --invoke answer && \"$0\" inspect <(cat \"$1\") | grep -q answer", BinderyExecutable.url.path, binary]
    pipe.standardOutput = FileHandle.nullDevice
    try pipe.run()
    pipe.waitUntilExit()
    #expect(pipe.terminationStatus == 0)
  }

  @Test("lower takes text, and run a program in text")
  func otherCommands() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let lowered = folder.url.appending(path: "lowered.wasm").path
    let program = try folder.write(
      Array(#"(module (import "memory:m" "i32.load" (func $l (param i64) (result i32))) (func (export "f") (result i32) (call $l (i64.const 0))))"#.utf8),
      to: "program.wat")
    let result = try BinderyExecutable.run(["lower", program, "-o", lowered, "--memory", "m=a.b i64 0 1"])
    #expect(result.status == 0, "\(result)")
    #expect(try BinderyExecutable.run(["validate", lowered]).status == 0)
    // The built-in program, as text: the same answer as built in.
    let text = folder.url.appending(path: "llama.wat").path
    #expect(try BinderyExecutable.run(["wasm2wat", "models/programs/llama.wasm", "-o", text]).status == 0)
    let arguments = ["run", "models/tiny-stories-1m", "--prompt", "Once", "--max-tokens", "4"]
    let builtIn = try BinderyExecutable.run(arguments)
    let given = try BinderyExecutable.run(arguments + ["--program", text])
    #expect(given.status == 0 && given.output == builtIn.output, "\(given)")
    let bad = try folder.write(Array("(module (func (result i32)))".utf8), to: "bad.wat")
    let refused = try BinderyExecutable.run(arguments + ["--program", bad])
    #expect(refused.status == 1 && refused.errors.contains("bad.wat:1:27: invalid module: type mismatch"), "\(refused)")
  }

  @Test("what is no module is refused with a reason", arguments: ["exec", "validate", "wat2wasm", "wasm2wat"])
  func noModule(command: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let empty = try folder.write([], to: "empty.wasm")
    for (path, reason) in [
      (empty, "is empty: expected a WebAssembly module"), (folder.url.path, "it is a folder, expected a file"),
      (folder.url.appending(path: "missing.wasm").path, "No such file"),
    ] {
      let result = try BinderyExecutable.run([command, path])
      #expect(result.status == 1 && result.errorLines.count == 1 && result.errors.contains(reason), "\(command): \(result)")
      #expect(result.errors.contains(path))
    }
    let piped = try BinderyExecutable.run([command, "-"], input: "")
    #expect(piped.status == 1 && piped.errors.contains("'<standard input>' is empty"), "\(piped)")
  }

  @Test("a proposal that is not supported is named", arguments: ["exec", "validate", "wat2wasm"])
  func unsupported(command: String) throws {
    let result = try BinderyExecutable.run([command, "-"], input: "(module\n (tag $e)\n (func (throw $e)))")
    #expect(result.status == 1 && result.errorLines.first == "bindery: <standard input>:2:3: not supported: exception handling (tag)")
  }

  @Test("control characters of a module reach no terminal")
  func controlCharacters() throws {
    let hostile = "\u{1b}]0;title\u{07}\u{9b}2J\u{202e}"
    let escaped = hostile.utf8.map { "\\" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let binary = folder.url.appending(path: "hostile.wasm").path
    let text = "(module $\"\(escaped)\" (func $\"\(escaped)\" (export \"\(escaped)\")) (@custom \"\(escaped)\" \"\(escaped)\"))"
    #expect(try BinderyExecutable.run(["wat2wasm", "-", "-o", binary], input: text).status == 0)
    let twice = "(module (func (export \"\(escaped)\")) (func (export \"\(escaped)\")))"
    let runs = [
      try BinderyExecutable.run(["wasm2wat", binary]), try BinderyExecutable.run(["validate", "-"], input: twice),
      try BinderyExecutable.run(["wat2wasm", "-"], input: "(module (func (call $\"\u{9b}2J\u{202e}\")))"),
      try BinderyExecutable.run(["validate", "-"], input: "(module (; \u{9b}2J\u{202e} ;) (func (drop)))"),
    ]
    for run in runs {
      let shown = run.output + run.errors
      #expect(!shown.isEmpty)
      #expect(!shown.unicodeScalars.contains { $0 == "\u{1b}" || $0 == "\u{07}" || $0 == "\u{9b}" || $0 == "\u{202e}" }, "\(run)")
    }
  }

  // MARK: Validation

  @Test("several files: each is judged, one bad one is a failure")
  func validateSeveral() throws {
    let (folder, good, output) = try folder()
    defer { withExtendedLifetime(folder) {} }
    #expect(try BinderyExecutable.run(["wat2wasm", good, "-o", output]).status == 0)
    let all = try BinderyExecutable.run(["validate", good, output])
    #expect(all.status == 0 && all.output == "\(good): valid\n\(output): valid\n")
    let bad = try folder.write(Array("(module\n (func (drop)))".utf8), to: "bad.wat")
    let mixed = try BinderyExecutable.run(["validate", bad, good, "--json"])
    #expect(mixed.status == 1)
    let files = try #require(mixed.json?["files"] as? [[String: Any]])
    #expect(files.map { $0["valid"] as? Bool } == [false, true])
    #expect(files[0]["line"] as? Int == 2 && files[0]["column"] as? Int == 9)
    #expect((files[0]["message"] as? String)?.contains("type mismatch") == true)
  }

  // MARK: Scripts

  @Test("a script that holds ends with its counts, and one that does not with a line for each failure")
  func wast() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let module = #"(module (func (export "f") (result i32) (i32.const 1)))"#
    let good = try folder.write(Array("\(module)\n(assert_return (invoke \"f\") (i32.const 1))".utf8), to: "good.wast")
    let passed = try BinderyExecutable.run(["wast", good])
    #expect(passed.status == 0 && passed.output == "1 passed, 0 failed, 0 skipped\n" && passed.errors.isEmpty, "\(passed)")
    let bad = try folder.write(Array("\(module)\n  (assert_return (invoke \"f\") (i32.const 2))\n(bad)".utf8), to: "unread.wast")
    let unread = try BinderyExecutable.run(["wast", bad])
    #expect(unread.status == 1 && unread.output.hasPrefix("\(bad):3:2: unexpected token bad"))
    let failing = try folder.write(
      Array("\(module)\n  (assert_return (invoke \"f\") (i32.const 2))\n(assert_trap (invoke \"f\") \"x\")".utf8),
      to: "failing.wast")
    let failed = try BinderyExecutable.run(["wast", good, failing])
    #expect(failed.status == 1 && failed.errors.contains("2 commands failed in 1 of 2 files"))
    #expect(
      failed.output.split(separator: "\n") == [
        "\(failing):2:3: expected (i32.const 2), found (i32.const 1)",
        "\(failing):3:1: expected the trap `x`, but nothing trapped",
        "1 passed, 2 failed, 0 skipped",
      ])
    let json = try #require(try BinderyExecutable.run(["wast", good, failing, "--json"]).json)
    let files = try #require(json["files"] as? [[String: Any]])
    #expect(files.map { $0["path"] as? String } == [good, failing])
    #expect(files.map { $0["passed"] as? Int } == [1, 0])
    #expect(files.map { $0["failed"] as? Int } == [0, 2])
    #expect(files.map { $0["skipped"] as? Int } == [0, 0])
  }

  @Test("our own scripts pass")
  func memoryControl() throws {
    let folder = Repository.fixture("memory-control").path
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".wast") }
    let result = try BinderyExecutable.run(["wast"] + files.sorted().map { "Tests/Fixtures/memory-control/\($0)" })
    #expect(result.status == 0 && result.output.hasSuffix(" 0 failed, 0 skipped\n"), "\(result.output)")
  }
}
