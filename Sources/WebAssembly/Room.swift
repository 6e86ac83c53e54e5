// The WebAssembly room; see ARCHITECTURE in README.md.
