// The WasmRuntime room; see ARCHITECTURE in README.md.
