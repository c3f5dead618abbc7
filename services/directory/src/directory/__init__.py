"""Who may do what: organisations, and the people who act for them."""
