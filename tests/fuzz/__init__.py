"""schemathesis against a sidecar with a store, a target and tokens: all that /openapi.json says, and its opposite."""
