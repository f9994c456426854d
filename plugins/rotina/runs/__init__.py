"""What every routine shares: agenda, business date, run record, lock, summary, tasks around the work."""
