"""Results on disk: the CSV, its sidecar, the schema of its columns, and the folder that holds them."""
