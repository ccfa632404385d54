"""What the benchmarks of objectives share: data, methods, cells, tables and plots."""
