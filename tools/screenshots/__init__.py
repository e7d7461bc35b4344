"""Pictures of the status page, and of a soak's curves, for the documents."""
