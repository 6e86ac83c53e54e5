import Foundation

/// Where the tests find the checkout and, when it is there, the folder of conformance and reference data beside it.
public enum Repository {
  /// The root folder of this checkout.
  public static let root: URL = {
    // Tests/_TestSupport/Repository.swift -> the checkout.
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  }()

  /// The folder with the official suite and the reference results: `BINDERY_SHARED`, else `../shared` beside the checkout;
  /// nil when there is none. Tests that need it skip and say so; the project builds and passes without it.
  public static let shared: URL? = {
    let candidates = [
      ProcessInfo.processInfo.environment["BINDERY_SHARED"].map { URL(filePath: $0) },
      root.deletingLastPathComponent().appending(path: "shared"),
    ]
    return candidates.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0.path) }
  }()

  /// A file or folder of the checkout.
  public static func path(_ relative: String) -> URL { root.appending(path: relative) }

  /// A file or folder of `shared`, nil when it is not there.
  public static func sharedPath(_ relative: String) -> URL? {
    guard let url = shared?.appending(path: relative), FileManager.default.fileExists(atPath: url.path) else { return nil }
    return url
  }

  /// The folder with test data committed in the project.
  public static func fixture(_ relative: String) -> URL { path("Tests/Fixtures").appending(path: relative) }

  /// SmolLM2's weight file, nil until `make fetch` (or `bindery fetch smollm2-135m-instruct`) has been run.
  public static let smolLM2: URL? = {
    let url = path("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")
    return FileManager.default.fileExists(atPath: url.path) ? url : nil
  }()
}
