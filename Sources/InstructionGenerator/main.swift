// Writes every generated file of the package below the folder given (default: the current one, the root of the package).
// Run it after changing a description: swift run InstructionGenerator
import Foundation
import InstructionDescription

let root = URL(filePath: CommandLine.arguments.dropFirst().first ?? ".", directoryHint: .isDirectory)
for file in generatedFiles() {
  let destination = root.appending(path: file.path)
  try FileManager.default.createDirectory(at: destination.deletingLastPathComponent(), withIntermediateDirectories: true)
  let existing = try? String(contentsOf: destination, encoding: .utf8)
  guard existing != file.contents else { continue }
  try file.contents.write(to: destination, atomically: true, encoding: .utf8)
  print("wrote \(file.path)")
}
