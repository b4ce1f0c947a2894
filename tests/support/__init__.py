"""What tests share: servers, peers and rows to measure, imported by name."""
