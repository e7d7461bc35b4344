"""The packs that come with the program, one YAML file each."""
