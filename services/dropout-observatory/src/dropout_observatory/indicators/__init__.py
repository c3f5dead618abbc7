"""Figures about people: what each means, how it is counted from the lake, and the weekly release that has them."""
