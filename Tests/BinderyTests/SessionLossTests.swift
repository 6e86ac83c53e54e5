import Bindery
import Foundation
import Synchronization
import Testing
import _TestSupport

/// Weight files that shrink or change while sessions use them.
@Suite("Weight files that change under sessions", .serialized)
struct SessionLossTests {
  private static let byteCount: UInt64 = 200_000_000

  /// A copy of the tiny model with a long tail of nothing, so that there is much to lose.
  private static func weights(in folder: TemporaryFolder) throws -> String {
    let path = folder.url.appending(path: "weights.gguf").path
    try FileManager.default.copyItem(atPath: TinyModel.weights, toPath: path)
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: byteCount)
    return path
  }

  private static func truncate(_ path: String, to byteCount: UInt64 = 65_536) {
    try? FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: byteCount)
  }

  private static let request = GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 3)

  /// Rows of one number: every thousandth of the first 180 MB, so that nearly every page is read.
  private static let rows =
    "(local.set $i (i64.const 0)) (loop $p (i32.store $scratch (i64.add (i64.const 1048576) (i64.shl (local.get $i) (i64.const 2))) (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 1000)))) (local.set $i (i64.add (local.get $i) (i64.const 1))) (br_if $p (i64.lt_u (local.get $i) (i64.const 45000))))"
  private static let getRows =
    "(call $get_rows (i64.const 0) (i64.const 0) (i32.const 0) (i64.const 1048576) (i32.const 45000) (i32.const 1) (i32.const 46000000))"
  private static let loads =
    "(local.set $i (i64.const 0)) (loop $p (drop (i64.load $weights (local.get $i))) (local.set $i (i64.add (local.get $i) (i64.const 4096))) (br_if $p (i64.lt_u (local.get $i) (i64.const 190000000))))"

  /// A program that reads the whole file after it has logged a message.
  static func reader(byKernel: Bool) -> HostileProgram {
    HostileProgram(
      imports: #"(import "tensor" "get_rows" (func $get_rows (param i64 i64 i32 i64 i32 i32 i32)))"#,
      bodies: [
        "forward": byKernel
          ? "\(rows) (call $log (i32.const 16) (i32.const 23)) \(getRows) (i64.const 1048576)"
          : "(call $log (i32.const 16) (i32.const 23)) \(loads) (i64.const 1048576)"
      ])
  }

  @Test(
    "a file that is cut while a program reads it stops the program, not the process, and is told",
    arguments: [KernelProvider.native, .wasm], [1, 2])
  func shrinks(kernels: KernelProvider, threads: Int) throws {
    for byKernel in [true, false] {
      let folder = try TemporaryFolder()
      let path = try Self.weights(in: folder)
      let host = try TinyModel.host(kernels, threads: threads) { options in options.log = { _ in Self.truncate(path) } }
      let model = try Self.reader(byKernel: byKernel).model(on: host, weights: path, in: folder)
      let (session, other) = (try model.makeSession(), try model.makeSession())
      expectBinderyError(
        .environment, containing: ["host mapping was lost", path, "shrank from \(Self.byteCount) to 65536", "open the model again"]
      ) { _ = try session.generate(Self.request) }
      // Lost for everybody who has it open, at once and for good, also for a session that is made now.
      for user in [session, other] {
        expectBinderyError(.environment, containing: [path, "shrank"]) { _ = try user.generate(Self.request) }
      }
      expectBinderyError(.environment, containing: [path, "shrank"]) { _ = try model.makeSession() }
      // Opened anew, it is what it is now.
      expectBinderyError(.malformedInput, containing: [path]) { _ = try host.openModel(at: path) }
    }
  }

  @Test("a file that is whole again can be used again, by who opens it again", arguments: [KernelProvider.native, .wasm])
  func restored(kernels: KernelProvider) throws {
    let folder = try TemporaryFolder()
    let path = try Self.weights(in: folder)
    let host = try TinyModel.host(kernels, threads: 2)
    let model = try host.openModel(at: path)
    let session = try model.makeSession()
    let right = try session.generate(Self.request).tokens
    Self.truncate(path)
    expectBinderyError(.environment, containing: ["shrank"]) { _ = try session.generate(Self.request) }
    let bytes = try Data(contentsOf: URL(filePath: TinyModel.weights))
    try bytes.write(to: URL(filePath: path))
    expectBinderyError(.environment, containing: ["open the model again"]) { _ = try session.generate(Self.request) }
    #expect(try host.openModel(at: path).makeSession().generate(Self.request).tokens == right)
  }

  @Test("a file that was written to is noticed; one that was replaced stays what it was for those who have it open")
  func changed() throws {
    let folder = try TemporaryFolder()
    let path = try Self.weights(in: folder)
    let host = try TinyModel.host()
    let session = try host.openModel(at: path).makeSession()
    let right = try session.generate(Self.request).tokens
    let next = folder.url.appending(path: "next.gguf").path
    try FileManager.default.copyItem(atPath: TinyModel.weights, toPath: next)
    #expect(unsafe rename(next, path) == 0)
    #expect(try session.generate(Self.request).tokens == right)
    let other = try host.openModel(at: path).makeSession()
    #expect(try other.generate(Self.request).tokens == right)
    let handle = try FileHandle(forWritingTo: URL(filePath: path))
    try handle.seek(toOffset: 500_000)
    try handle.write(contentsOf: Data([1, 2, 3]))
    expectBinderyError(.environment, containing: [path, "was written to", "renaming"]) { _ = try other.generate(Self.request) }
    #expect(try session.generate(Self.request).tokens == right)
  }

  @Test("weights that were read or copied do not mind what becomes of the file", arguments: [WeightLoading.read, .copy])
  func copies(loading: WeightLoading) throws {
    let folder = try TemporaryFolder()
    let path = folder.url.appending(path: "weights.gguf").path
    try FileManager.default.copyItem(atPath: TinyModel.weights, toPath: path)
    let session = try TinyModel.host(.native, loading).openModel(at: path).makeSession()
    let right = try session.generate(Self.request).tokens
    Self.truncate(path, to: 10)
    #expect(try session.generate(Self.request).tokens == right)
  }
}
