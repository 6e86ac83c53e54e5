// The ChatTemplates room; see ARCHITECTURE in README.md.
