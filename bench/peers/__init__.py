"""The service beside other gateways: gateways, workloads, runs and their figures."""
