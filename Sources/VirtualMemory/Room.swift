// The VirtualMemory room; see ARCHITECTURE in README.md.
