"""The other systems that the company works with: what is set of them, and what that makes happen."""
