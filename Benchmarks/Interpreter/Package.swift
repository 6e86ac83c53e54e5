// swift-tools-version: 6.2
import PackageDescription

// The interpreter core against native C of the same kernels. Run: swift run -c release --omit-frame-pointers
let package = Package(
  name: "interpreter-benchmark",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "bindery", path: "../..")],
  targets: [
    .target(
      name: "NativeKernels",
      // The same instructions for both: no vectors but those of the source, sums and products rounded apart.
      cSettings: [.unsafeFlags(["-O2", "-mavx2", "-fno-vectorize", "-fno-slp-vectorize", "-ffp-contract=off"])]),
    .executableTarget(
      name: "InterpreterBenchmark",
      dependencies: ["NativeKernels", .product(name: "WasmRuntime", package: "bindery")]),
  ],
  swiftLanguageModes: [.v5],
  cLanguageStandard: .c17
)
