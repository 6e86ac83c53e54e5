import Foundation
import FuzzBodies

// The executable behind `make fuzz` and `make fuzz-differential`; see Tests/Fuzzing/README.md.

let arguments = Array(CommandLine.arguments.dropFirst())

func fail(_ sentence: String) -> Never {
  FileHandle.standardError.write(Data((sentence + "\n").utf8))
  exit(2)
}

func target(_ name: String) -> FuzzTarget {
  guard let target = FuzzTarget.named(name) else {
    fail("expected one of \(FuzzTarget.all.map(\.name).joined(separator: ", ")) as the target, found '\(name)'")
  }
  return target
}

let usage = """
  list                          the targets
  length TARGET                 bytes of its longest inputs
  seeds TARGET FOLDER           writes the seeds, and the dictionary as FOLDER.dict
  replay TARGET FILE...         runs inputs
  random TARGET SECONDS [SEED [FOLDER]]
                                runs changed seeds (and files of the folder) without following coverage
  generate SEED COUNT           modules of dense live code to standard output, each after its length
  execute                       runs modules from standard input, each after its length; a line of results for each
  BINDERY_FUZZ_TARGET=TARGET    ... with the command line of libFuzzer
  """

if FuzzEngine.target != nil {
  FuzzEngine.run()
} else {
  switch (arguments.first, arguments.count) {
  case ("list", 1): for target in FuzzTarget.all { print(target.name) }
  case ("length", 2): print(target(arguments[1]).inputByteCountMax)
  case ("seeds", 3): try Corpus.writeSeeds(of: target(arguments[1]), to: URL(filePath: arguments[2]))
  case ("replay", 3...): try Corpus.replay(target(arguments[1]), arguments[2...].map { URL(filePath: $0) })
  case ("random", 3...5):
    try Corpus.runRandomly(
      target(arguments[1]), seconds: Double(arguments[2]) ?? 1, seed: arguments.count > 3 ? UInt64(arguments[3]) ?? 0 : 0,
      folder: arguments.count > 4 ? URL(filePath: arguments[4]) : nil)
  case ("generate", 3): Differential.generate(seed: UInt64(arguments[1]) ?? 0, count: Int(arguments[2]) ?? 0)
  case ("execute", 1): Differential.execute()
  default: fail(usage)
  }
}
