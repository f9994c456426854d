"""The screens, one module each: what it lists in SCREENS is found by itself (docs/console.md)."""
