"""What is read out of the ledger: DataFrames, totals, plots, files, a comparison with providers' reports."""
