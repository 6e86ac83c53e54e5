import CFuzzEngine
import Foundation
import FuzzBodies

/// libFuzzer, where the executable was linked with it.
enum FuzzEngine {
  /// The target is named by a variable, since libFuzzer starts itself again with its own command line.
  static let target: FuzzTarget? = ProcessInfo.processInfo.environment["BINDERY_FUZZ_TARGET"].flatMap(FuzzTarget.named)

  static func run() -> Never {
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
    // SAFETY: libFuzzer gives the bytes of an input for the time of the call; the command line lives as long as the process.
    let status = unsafe bindery_fuzz_run(&count, &arguments) { bytes, byteCount in
      let input = unsafe Array(UnsafeBufferPointer(start: bytes, count: byteCount))
      do throws(BrokenPromise) {
        try FuzzEngine.target?.body(input)
      } catch {
        FileHandle.standardError.write(Data("BROKEN PROMISE: \(error)\n".utf8))
        abort()
      }
      return 0
    }
    if status == -1 {
      fail("this executable was built without libFuzzer: `make fuzz` builds one with it, from a Swift toolchain that has libclang_rt.fuzzer")
    }
    exit(status)
  }
}
