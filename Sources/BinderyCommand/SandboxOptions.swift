import ArgumentParser
import Foundation
import SystemFiles
import TensorOperations

/// `--sandbox`, for commands that run what strangers wrote.
struct SandboxOptions: ParsableArguments {
  @Flag(
    help: """
      Linux: hold the whole process as well. It opens no files but those it was given, makes no connections and starts no programs \
      (Landlock, seccomp, no new privileges); refused where the kernel cannot.
      """)
  var sandbox = false

  /// Enters the sandbox if it is asked for. Before anything that starts a thread.
  func enter(_ rules: [Sandbox.Rule]) throws(CommandFailure) {
    guard sandbox else { return }
    do { try Sandbox.enter(rules) } catch { throw CommandFailure("--sandbox cannot be kept: \(error.description)") }
  }

  /// Loads what is loaded on demand otherwise: later no page can be made executable.
  func loadLibraries() { _ = NativeKernels.hasOpenBLAS }

  /// What reading a model takes: the file and the other parts of it, or the folder with all that links in it lead to.
  static func rules(forModel path: String) -> [Sandbox.Rule] {
    let url = URL(filePath: path)
    var rules = [Sandbox.Rule(SystemString(path), .read)]
    let isFolder = (try? url.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true
    let folder = isFolder ? url : url.deletingLastPathComponent()
    // `NAME-00001-of-00003.gguf`
    let stem = url.lastPathComponent.firstMatch(of: /^(.*)-\d{5}-of-\d{5}\.[A-Za-z]+$/).map { String($0.1) }
    guard isFolder || stem != nil, let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else { return rules }
    for name in names.sorted() where isFolder || name.hasPrefix((stem ?? "") + "-") {
      let item = folder.appending(path: name)
      let isLink = (try? item.resourceValues(forKeys: [.isSymbolicLinkKey]))?.isSymbolicLink == true
      if !isFolder || isLink { rules.append(Sandbox.Rule(SystemString(item.path), .read, isOptional: true)) }
    }
    return rules
  }
}
