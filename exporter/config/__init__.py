"""Configuration: YAML in, frozen typed structs out, or one ConfigError that lists every fault.

Belongs here: the structs (``model``), reading and checking a file (``load``), values that hide themselves
(``secrets``), exporter-toolkit's web configuration (``web``). Does not: anything that connects, or reads a clock.
"""
