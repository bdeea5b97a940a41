"""For a class: the exercises as notebooks that can be graded, and the grades of those that come back."""
