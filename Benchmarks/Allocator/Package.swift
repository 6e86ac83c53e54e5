// swift-tools-version: 6.2
// The guest kit's allocator beside others, in the same program. Build the guests with `make`, then:
//   swift run -c release --package-path Benchmarks/Allocator AllocatorBenchmark Benchmarks/Allocator/.build/guests
import PackageDescription

let package = Package(
  name: "AllocatorBenchmark",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "bindery", path: "../..")],
  targets: [
    .executableTarget(name: "AllocatorBenchmark", dependencies: [.product(name: "WasmRuntime", package: "bindery")])
  ],
  swiftLanguageModes: [.v6]
)
