"""What models compute, measured and drawn: commands that write figures and CSV files."""
