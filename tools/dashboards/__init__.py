"""What tests and pictures of the dashboards are made from: a recording of the demo, and a Prometheus that has it."""
