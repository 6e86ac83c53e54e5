import Foundation
import Testing
import _TestSupport

/// `exec`: streams, statuses, arguments, reactors, limits, through the built executable.
@Suite("exec")
struct ExecTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Writes a module and runs a line in which `$M` is its file.
  private func shell(_ module: String, _ line: String, seconds: Double = 60) throws -> BinderyExecutable.Result {
    let path = try folder.write(Array(module.utf8), to: "module.wat")
    return try BinderyExecutable.shell(line, environment: ["M": path], seconds: seconds)
  }

  // MARK: Streams

  @Test("closed streams are those of the guest, not files of ours", arguments: [
    ("read", "<&-", 100), ("read", "< /dev/null", 100), ("read", "<<< 12345678", 109), ("read", "< <(printf abc)", 103),
    ("1", "", 0), ("1", ">&-", 8), ("1", "<&- >&-", 8), ("1", "<&- >&- 2>&-", 8), ("1", "2>&-", 0), ("1", "> /dev/full", 51),
    ("2", "2>&-", 8), ("2", ">&-", 0), ("2", "<&- 2>&-", 8), ("2", "2> /dev/full", 51),
    ("read", "<&- >&- 2>&-", 100),
  ])
  func streams(kind: String, redirection: String, status: Int32) throws {
    let module = Int(kind).map { GuestModules.print(to: $0) } ?? GuestModules.reader
    let result = try shell(module, "exec $B exec $M \(redirection)", seconds: 10)
    #expect(result.status == status && !result.wasSignalled, "\(result.status): \(result.errors)")
  }

  @Test("a guest that writes to a pipe that nobody reads gets an error, and goes on")
  func brokenPipe() throws {
    let result = try shell(GuestModules.print(), "{ sleep 0.1; $B exec $M; echo $? >&3; } 3>&2 | true")
    #expect(result.errors == "64\n")
  }

  @Test("with --json nothing but the object is on standard output")
  func json() throws {
    let command = try shell(GuestModules.print(), "$B exec --json $M")
    #expect(command.json?["results"] as? [Int] == [0] && command.errors == "hi\n")
    let reactor = try shell(GuestModules.reactor, "$B exec --json $M --invoke answer 1")
    #expect(reactor.json?["results"] as? [Int] == [42] && reactor.errors == "called\n")
  }

  // MARK: Statuses

  @Test("a status is the guest's, and what no process can have is no success", arguments: [
    (0, 0), (1, 1), (5, 5), (125, 125), (126, 126), (255, 255), (256, 1), (257, 1), (512, 1), (65_536, 1), (-1, 1), (-256, 1),
    (2_147_483_647, 1),
  ])
  func statuses(code: Int, status: Int32) throws {
    let result = try shell(GuestModules.exiting, "$B exec $M --invoke exit \(code)")
    #expect(result.status == status && !result.wasSignalled, "\(result.errors)")
    if code != Int(status) { #expect(result.errors.contains("\(UInt32(truncatingIfNeeded: code))"), "\(result.errors)") }
    let command = try shell(GuestModules.at("command", "(call $exit (i32.const \(code)))"), "$B exec $M")
    #expect(command.status == status, "\(command.errors)")
  }

  @Test("a guest ends itself wherever it is", arguments: ["start", "initializer", "export", "command"])
  func exits(moment: String) throws {
    let invoke = moment == "command" ? "" : "--invoke run"
    let result = try shell(GuestModules.at(moment, "(call $exit (i32.const 5))"), "$B exec $M \(invoke)")
    #expect(result.status == 5 && result.errors.isEmpty, "\(result.status): \(result.errors)")
    let trapped = try shell(GuestModules.at(moment, "unreachable"), "$B exec $M \(invoke)")
    #expect(trapped.status == 1 && trapped.errors.contains("unreachable"), "\(trapped.status): \(trapped.errors)")
  }

  @Test("one time limit, from reading the module to its end", arguments: ["start", "initializer", "export", "command"], [
    "(call $forever)", "(call $sleep)", "(call $wait)", "(call $print)",
  ])
  func timeLimit(moment: String, body: String) throws {
    let invoke = moment == "command" ? "" : "--invoke run"
    // Nothing comes in, and nobody takes what goes out.
    let result = try shell(
      GuestModules.at(moment, body), "sleep 3 | { $B exec --timeout 0.3 $M \(invoke); echo $? >&2; } | sleep 1", seconds: 30)
    #expect(result.errorLines.last == "124" && result.errors.contains("--timeout"), "\(result.errors)")
  }

  @Test("a module that never comes does not outlive the time limit")
  func endlessModule() throws {
    let start = ContinuousClock.now
    let result = try BinderyExecutable.shell("exec $B exec --timeout 0.3 <(exec sleep 40) --invoke f", seconds: 60)
    #expect(result.status == 124 && ContinuousClock.now - start < .seconds(300), "\(result.errors)")
  }

  @Test("Ctrl-C and SIGTERM have their statuses", arguments: [[SIGINT, 130], [SIGTERM, 143]] as [[Int32]], ["start", "initializer", "export", "command"])
  func signals(number: [Int32], moment: String) throws {
    let path = try folder.write(Array(GuestModules.at(moment, "(call $forever)").utf8), to: "module.wat")
    let result = try BinderyExecutable.run(
      ["exec", path] + (moment == "command" ? [] : ["--invoke", "run"])
    ) { process in
      Thread.sleep(forTimeInterval: 1)
      kill(process.processIdentifier, number[0])
    }
    #expect(result.status == number[1] && !result.wasSignalled, "\(result.status): \(result.errors)")
  }

  @Test("fuel and memory are limits as well")
  func limits() throws {
    let fuel = try shell(GuestModules.at("export", "(call $forever)"), "$B exec --fuel 100000 $M --invoke run")
    #expect(fuel.status == 1 && fuel.errors.contains("fuel"), "\(fuel.errors)")
    let memories = "(module (memory 100) (memory 100) (func (export \"f\")))"
    #expect(try shell(memories, "$B exec $M --invoke f --memory-limit 20000000").status == 0)
    // Each would fit, both do not.
    let refused = try shell(memories, "$B exec $M --invoke f --memory-limit 10000000")
    #expect(refused.status == 1 && refused.errors.contains("memory"), "\(refused.errors)")
  }

  // MARK: Arguments

  @Test("arguments, variables and names of folders are bytes", arguments: [
    ("$'a\\xffb'", "61 ff 62"), ("$'\\xc3'", "c3"), ("é", "c3 a9"), ("''", ""), ("$'\\xf4\\x8f\\xbf\\xbf'", "f4 8f bf bf"),
    ("$'\\xed\\xa0\\x80'", "ed a0 80"), ("--", "2d 2d"), ("-x", "2d 78"), ("$'\\x1b[31m'", "1b 5b 33 31 6d"),
  ])
  func bytes(word: String, expected: String) throws {
    func strings(_ result: BinderyExecutable.Result) -> [String] {
      result.output.split(separator: " ").map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.joined(separator: " ")
        .split(separator: "00", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let od = "| od -An -v -tx1 -w100000"
    let arguments = try shell(GuestModules.strings("args"), "$B exec $M x \(word) y \(od)")
    #expect(Array(strings(arguments).dropFirst()) == ["78", expected, "79", ""], "\(arguments.output) \(arguments.errors)")
    let variables = try shell(GuestModules.strings("environ"), "$B exec $M --env=A=\(word) \(od)")
    #expect(strings(variables) == [("41 3d " + expected).trimmingCharacters(in: .whitespaces), ""], "\(variables.output) \(variables.errors)")
  }

  @Test("a module and a folder may have names that are no text")
  func names() throws {
    let result = try shell(
      GuestModules.print(), "cd \(folder.url.path); N=$'m\\xff.wat'; cp $M \"$N\"; mkdir $'d\\xfe'; $B exec --dir $'g\\xfd='$'d\\xfe' \"$N\"")
    #expect(result.status == 0 && result.output == "hi\n", "\(result.errors)")
    let missing = try BinderyExecutable.shell("$B exec $'no\\xffne\\x1b[2J'")
    #expect(missing.status == 1 && missing.errorLines.count == 1 && !missing.errors.contains("\u{1B}"), "\(missing.errors)")
  }

  @Test("the environment is what --env says, and nothing else")
  func environment() throws {
    let result = try shell(GuestModules.strings("environ"), "$B exec --env A=1 --env B= $M --env C==")
    #expect(result.output == "A=1\0B=\0C==\0")
    #expect(try shell(GuestModules.strings("environ"), "SECRET=1 $B exec $M").output == "")
  }

  // MARK: Reactors

  @Test("a reactor's initialiser runs once, before its exports; imports of WASI are there", arguments: [
    ("answer 1", "called\n42\n"), ("answer -1", "called\n40\n"), ("calls", "1\n"), ("_initialize", ""),
  ])
  func reactors(call: String, output: String) throws {
    let result = try shell(GuestModules.reactor, "$B exec $M --invoke \(call)")
    #expect(result.status == 0 && result.output == output, "\(result.errors)")
  }

  @Test("programs in C: a reactor with a constructor, and bytes in and out")
  func programs() throws {
    let folder = Repository.fixture("wasi").path
    let reactor = try BinderyExecutable.shell("$B exec \(folder)/reactor.wasm --invoke answer 1")
    #expect(reactor.output == "answer(1)\n42\n", "\(reactor.errors)")
    let bytes = try BinderyExecutable.shell("$B exec --env $'K=\\xfe' \(folder)/bytes.wasm $'a\\xffb' é '' <<< hello")
    #expect(bytes.output == "argument 61 ff 62\nargument c3 a9\nargument\nvariable 4b 3d fe\nread 6\n", "\(bytes.errors)")
    #expect(try BinderyExecutable.shell("$B exec \(folder)/bytes.wasm <&-").output == "read 0\n")
    #expect(try BinderyExecutable.shell("$B exec \(folder)/bytes.wasm >&-").status == 9)
    #expect(try BinderyExecutable.shell("$B exec \(folder)/bytes.wasm > /dev/full").status == 9)
  }

  @Test("modules that are no command, no reactor, or neither properly")
  func otherModules() throws {
    let plain = "(module (global $r (mut i32) (i32.const 0)) (func (export \"_initialize\") (global.set $r (i32.const 41)))"
      + " (func (export \"get\") (result i32) (global.get $r)))"
    #expect(try shell(plain, "$B exec $M --invoke get").output == "41\n")
    let noCommand = try shell(plain, "$B exec $M")
    #expect(noCommand.status == 1 && noCommand.errors.contains("--invoke") && noCommand.errorLines.count == 1)
    let wrong = try shell("(module (func (export \"_initialize\") (param i32)) (func (export \"f\")))", "$B exec $M --invoke f")
    #expect(wrong.status == 1 && wrong.errors.contains("_initialize"), "\(wrong.errors)")
    for name in ["fd_frob", "fd_write\\1b[2J"] {
      let unknown = try shell(
        "(module (import \"wasi_snapshot_preview1\" \"\(name)\" (func)) (func (export \"f\")))", "$B exec $M --invoke f")
      #expect(unknown.status == 1 && unknown.errors.contains("unknown import: wasi_snapshot_preview1.fd_"), "\(unknown.errors)")
      #expect(!unknown.errors.contains("\u{1B}") && unknown.errorLines.count == 1)
    }
  }

  @Test("a terminal shows what a guest writes, and obeys none of it, unless it is told to", arguments: ["", "--raw-terminal"])
  func terminal(option: String) throws {
    let text = GuestModules.print().replacing("hi\\n", with: "\\1b]")
    // `script` gives its command a terminal.
    let result = try shell(text, "script -qec \"$B exec \(option) $M\" /dev/null < /dev/null")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("\u{1B}]") == !option.isEmpty && result.output.contains("\\u{1b}]") == option.isEmpty)
  }

  @Test("names of guests cannot reach the terminal")
  func escapedNames() throws {
    let named = "(module $\"\\1b[2Jm\" (func $\"\\1b[31mf\\u{202e}\" (export \"\\1b]0;title\\07\") unreachable))"
    let trapped = try shell(named, "$B exec $M --invoke $'\\x1b]0;title\\x07'")
    #expect(trapped.status == 1 && trapped.errors.contains("unreachable"), "\(trapped.errors)")
    let missing = try shell(named, "$B exec $M --invoke g")
    let inspected = try shell(named, "$B wat2wasm $M -o $M.wasm && $B inspect $M.wasm && $B inspect --json $M.wasm")
    #expect(inspected.status == 0, "\(inspected.errors)")
    for text in [trapped.errors, missing.errors, inspected.output, inspected.errors] {
      #expect(!text.unicodeScalars.contains { ["\u{1B}", "\u{07}", "\u{202E}", "\u{9B}"].contains($0) }, "\(text)")
    }
    #expect(inspected.output.contains("title"))
  }
}
