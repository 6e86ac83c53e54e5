// swift-tools-version: 6.2
import PackageDescription

/// Every target is compiled with strict memory safety: each unsafe expression is spelled `unsafe`, so a search for that
/// word is the audit of the unsafe code.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Assertions of the C targets are checked in debug builds. (A package that others depend on may not ask for optimisation of its own there, so
/// a debug build interprets slowly: tests run in release builds.)
let withAssertionsInDebug: [CSetting] = [.define("NDEBUG", .when(configuration: .release))]

let package = Package(
  name: "bindery",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Bindery", targets: ["Bindery"]),
    .library(name: "WasmRuntime", targets: ["WasmRuntime", "WebAssembly"]),
    .library(name: "TensorFiles", targets: ["TensorFiles", "Tensors"]),
    .library(name: "Tokenizers", targets: ["Tokenizers", "ChatTemplates"]),
    .executable(name: "bindery", targets: ["BinderyCommand"]),
  ],
  traits: [
    .trait(name: "OpenBLAS", description: "Large f32 products through OpenBLAS, where the system has it. Without it the native provider uses its own kernels."),
    .default(enabledTraits: ["OpenBLAS"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    // Layer 0
    .target(name: "CPlatform", cSettings: withAssertionsInDebug),
    .target(name: "COpenBLAS", cSettings: withAssertionsInDebug, linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .target(name: "CInterpreter", cSettings: withAssertionsInDebug),
    .target(name: "CTensorKernels", cSettings: withAssertionsInDebug),
    .target(name: "CModelPrograms"),
    // The built module is embedded, not copied.
    .target(name: "CEngineKernels", exclude: ["Makefile", "engine_kernels.wasm", "MANIFEST"]),

    // Layer 1
    .target(name: "VirtualMemory", dependencies: ["CPlatform"], swiftSettings: strict),
    .target(name: "SystemFiles", dependencies: ["CPlatform"], swiftSettings: strict),
    // `Lifetimes`: the reader borrows its bytes, and the compiler checks that it does not outlive them.
    .target(name: "BinaryReading", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
    .target(name: "WebAssembly", dependencies: ["BinaryReading"], swiftSettings: strict),
    .target(name: "Tensors", swiftSettings: strict),
    .target(name: "Tokenizers", swiftSettings: strict),
    .target(name: "ChatTemplates", swiftSettings: strict),
    .target(name: "ModelPrograms", dependencies: ["CModelPrograms"], swiftSettings: strict),
    .target(name: "Charts", swiftSettings: strict),

    // Layer 2
    .target(name: "WebAssemblyText", dependencies: ["WebAssembly", "BinaryReading"], swiftSettings: strict),
    .target(name: "TensorFiles", dependencies: ["BinaryReading", "Tensors", "Tokenizers"], swiftSettings: strict),
    .target(
      name: "WasmRuntime", dependencies: ["WebAssembly", "BinaryReading", "VirtualMemory", "CInterpreter", "CPlatform"],
      swiftSettings: strict),

    // Layer 3
    .target(name: "WasmScripts", dependencies: ["WebAssembly", "WebAssemblyText", "WasmRuntime"], swiftSettings: strict),
    .target(
      name: "TensorStore",
      dependencies: ["TensorFiles", "Tensors", "VirtualMemory", "WasmRuntime", "WebAssembly", "BinaryReading"],
      swiftSettings: strict),
    .target(
      name: "TensorOperations",
      dependencies: [
        "WasmRuntime", "WebAssembly", "Tensors", "CTensorKernels", "CPlatform",
        .target(name: "COpenBLAS", condition: .when(traits: ["OpenBLAS"])),
      ],
      swiftSettings: strict),

    .target(name: "WASI", dependencies: ["SystemFiles", "WasmRuntime", "WebAssembly", "BinaryReading", "CPlatform"], swiftSettings: strict),

    // Layer 4
    .target(
      name: "Bindery",
      dependencies: [
        "TensorOperations", "TensorStore", "TensorFiles", "Tensors", "Tokenizers", "ChatTemplates", "WasmRuntime",
        "WebAssembly", "VirtualMemory", "ModelPrograms", "BinaryReading",
      ],
      swiftSettings: strict),

    // Layer 5
    .target(
      name: "Benchmarking",
      dependencies: [
        "Bindery", "CEngineKernels", "CPlatform", "Charts", "ModelPrograms", "TensorOperations", "Tensors", "WasmRuntime", "WebAssembly",
        "WebAssemblyText", "VirtualMemory",
      ],
      swiftSettings: strict),

    // Layer 6
    .executableTarget(
      name: "BinderyCommand",
      dependencies: [
        "Bindery", "Benchmarking", "TensorOperations", "TensorStore", "TensorFiles", "Tensors", "Tokenizers", "WasmRuntime", "WasmScripts",
        "WebAssemblyText", "WebAssembly", "VirtualMemory", "BinaryReading", "WASI", "SystemFiles",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // The instruction description, and the generator that writes the tables and the C handlers from it.
    .target(name: "InstructionDescription", path: "Sources/InstructionDescription", swiftSettings: strict),
    .executableTarget(name: "InstructionGenerator", dependencies: ["InstructionDescription"], swiftSettings: strict),

    // Tests
    // Takes the allocator's place in the test executable, to count: nothing else may depend on it.
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter", cSettings: withAssertionsInDebug),
    .target(
      name: "_TestSupport", dependencies: ["CAllocationCounter", "VirtualMemory"], path: "Tests/_TestSupport", swiftSettings: strict),
    // What fuzzers call, as a library: `make test` replays it, `make fuzz` drives it with libFuzzer.
    .target(
      name: "FuzzBodies",
      dependencies: [
        "Bindery", "ChatTemplates", "ModelPrograms", "SystemFiles", "TensorFiles", "TensorOperations", "Tensors", "Tokenizers", "WASI",
        "WasmRuntime", "WasmScripts", "WebAssembly", "WebAssemblyText",
      ],
      path: "Tests/FuzzBodies", swiftSettings: strict),
    .target(name: "CFuzzEngine", path: "Tests/Fuzzing/CFuzzEngine"),
    .executableTarget(
      name: "BinderyFuzzer", dependencies: ["FuzzBodies", "CFuzzEngine", "WasmRuntime", "WebAssembly"], path: "Tests/Fuzzing/BinderyFuzzer", swiftSettings: strict),
    .testTarget(name: "FuzzingTests", dependencies: ["FuzzBodies", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "VirtualMemoryTests", dependencies: ["VirtualMemory", "_TestSupport"], swiftSettings: strict),
    // Enters the sandbox and tries to leave it: a process of its own, since nobody comes back. Built with the tests, which start it.
    .executableTarget(name: "_SandboxProbe", dependencies: ["CPlatform"], path: "Tests/_SandboxProbe"),
    .testTarget(name: "SystemFilesTests", dependencies: ["SystemFiles", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "BinaryReadingTests", dependencies: ["BinaryReading", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "WebAssemblyTests", dependencies: ["WebAssembly", "WebAssemblyText", "BinaryReading", "_TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "WebAssemblyTextTests", dependencies: ["WebAssemblyText", "WebAssembly", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers", "TensorFiles", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "ChatTemplatesTests", dependencies: ["ChatTemplates", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "TensorFilesTests", dependencies: ["TensorFiles", "Tensors", "_TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "WasmRuntimeTests",
      dependencies: ["WasmRuntime", "WebAssembly", "WebAssemblyText", "VirtualMemory", "CInterpreter", "_TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "WASITests", dependencies: ["WASI", "SystemFiles", "WasmRuntime", "WebAssembly", "WebAssemblyText", "_TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ConformanceTests",
      dependencies: ["WasmScripts", "WebAssemblyText", "WasmRuntime", "WebAssembly", "VirtualMemory", "_TestSupport"],
      resources: [.copy("Data")], swiftSettings: strict),
    .testTarget(
      name: "TensorStoreTests",
      dependencies: ["TensorStore", "TensorFiles", "Tensors", "WasmRuntime", "WebAssembly", "VirtualMemory", "_TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "TensorOperationsTests",
      dependencies: ["TensorOperations", "Tensors", "CTensorKernels", "ModelPrograms", "WasmRuntime", "WebAssembly", "_TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "BinderyTests",
      dependencies: [
        "Bindery", "TensorOperations", "TensorStore", "TensorFiles", "Tokenizers", "VirtualMemory", "WasmRuntime", "WebAssembly",
        "WebAssemblyText", "_TestSupport",
      ],
      swiftSettings: strict),
    // Eight tenants at once, six of them hostile.
    .testTarget(name: "TenantTests", dependencies: ["Bindery", "WebAssemblyText", "_TestSupport"], swiftSettings: strict),
    .testTarget(name: "CommandTests", dependencies: ["_TestSupport", "BinderyCommand", "SystemFiles"], swiftSettings: strict),
    .testTarget(
      name: "RepositoryTests", dependencies: ["InstructionDescription", "BinderyCommand", "CAllocationCounter", "_TestSupport"],
      exclude: ["Data"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)
