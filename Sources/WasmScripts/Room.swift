// The WasmScripts room; see ARCHITECTURE in README.md.
