"""One YAML file for each scheduler known. To add one, see CONTRIBUTING.md."""
