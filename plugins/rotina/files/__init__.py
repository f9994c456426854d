"""The daily file batch: four files for the partner, every day, complete and proved."""
