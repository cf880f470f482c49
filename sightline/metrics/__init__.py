"""What is measured: sums and counts that are added up, and only reduced at the end."""
