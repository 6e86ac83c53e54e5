// swift-tools-version: 6.2
// What the operations on memories cost. A package of its own, so that the project's builds do not carry it:
//   swift run -c release --package-path Benchmarks/MemoryOperations
import PackageDescription

let package = Package(
  name: "MemoryBenchmark",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "bindery", path: "../..")],
  targets: [
    .executableTarget(name: "MemoryBenchmark", dependencies: [.product(name: "WasmRuntime", package: "bindery")])
  ],
  swiftLanguageModes: [.v6]
)
